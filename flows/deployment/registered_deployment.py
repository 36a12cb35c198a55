"""Registers one deployment on the server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.importtools import import_object

from flows.deployment.deployment_specs import DeploymentSpec
from flows.deployment.registration import Registration


class DeploymentTakenError(Exception):
    """A deployment of this name belongs to another pool, so this stack would get another's runs."""

    def __init__(self, name: str, theirs: str, ours: str) -> None:
        super().__init__(
            f"deployment {name} belongs to work pool {theirs}, not {ours}: give each stack a Prefect "
            f"workspace of its own, or if {theirs} is gone: prefect deployment delete {name}"
        )


def register_deployment(
    client: SyncPrefectClient, done: Registration, spec: DeploymentSpec
) -> None:
    """Write the differences, and record the deployment's id, if any.

    Raises:
        DeploymentTakenError: it exists for another work pool.
    """
    wanted = _deployment(spec, done.work_pool)
    try:
        found = client.read_deployment_by_name(wanted.full_name)
    except ObjectNotFound:
        if done.writes(f"create deployment {wanted.full_name}"):
            done.deployments[wanted.full_name] = str(wanted.apply())
        return
    if found.work_pool_name not in {None, done.work_pool}:
        raise DeploymentTakenError(wanted.full_name, str(found.work_pool_name), done.work_pool)
    done.deployments[wanted.full_name] = str(found.id)
    ours, theirs = _wanted(spec, wanted), _found(found)
    if differing := [name for name, value in ours.items() if theirs[name] != value]:
        change = f"change {', '.join(differing)} of deployment {wanted.full_name}"
        if done.writes(change):
            wanted.apply()


def full_name(spec: DeploymentSpec) -> str:
    """Return its name on the server, `flow/deployment`.

    Raises:
        TypeError: its entrypoint is not a flow.
    """
    return f"{_flow(spec).name}/{spec.name}"


def _flow(spec: DeploymentSpec) -> Flow[..., Any]:
    flow = import_object(spec.entrypoint)
    if not isinstance(flow, Flow):
        raise TypeError(f"{spec.entrypoint} is not a flow")
    return flow


def _deployment(spec: DeploymentSpec, work_pool: str) -> RunnerDeployment:
    limit = spec.concurrency_limit and ConcurrencyLimitConfig(
        limit=spec.concurrency_limit, collision_strategy=ConcurrencyLimitStrategy(spec.collision)
    )
    return RunnerDeployment.from_flow(
        _flow(spec),
        name=spec.name,
        work_pool_name=work_pool,
        work_queue_name=spec.work_queue,
        parameters=dict(spec.parameters),
        job_variables=dict(spec.job_variables),
        tags=list(spec.tags),
        cron=spec.cron,
        # Each run keeps it as a record of the release that created it.
        version=metadata.version("echodrop"),
        concurrency_limit=limit or None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _wanted(spec: DeploymentSpec, wanted: RunnerDeployment) -> dict[str, Any]:
    limit = spec.concurrency_limit
    return {
        "entrypoint": wanted.entrypoint,
        "version": wanted.version,
        "work pool": wanted.work_pool_name,
        "work queue": spec.work_queue,
        "job variables": wanted.job_variables,
        "tags": wanted.tags,
        "schedule": [spec.cron] if spec.cron else [],
        "default parameters": dict(spec.parameters),
        "concurrency limit": (limit, spec.collision) if limit else None,
        "parameters": _schema(wanted._parameter_openapi_schema.model_dump()),  # noqa: SLF001 - from_flow stores it only there
    }


def _found(found: DeploymentResponse) -> dict[str, Any]:
    limit = found.global_concurrency_limit
    options = found.concurrency_options
    collision = options.collision_strategy.value if options else "ENQUEUE"
    return {
        "entrypoint": found.entrypoint,
        "version": found.version,
        "work pool": found.work_pool_name,
        "work queue": found.work_queue_name,
        "job variables": found.job_variables,
        "tags": found.tags,
        "schedule": [
            each.schedule.cron if isinstance(each.schedule, CronSchedule) else str(each.schedule)
            for each in found.schedules
        ],
        "default parameters": found.parameters,
        "concurrency limit": (limit.limit, collision) if limit else None,
        "parameters": _schema(found.parameter_openapi_schema or {}),
    }


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter schema without empty entries, which the server does not store."""
    return {name: value for name, value in schema.items() if value}

"""Register the work pool, its queues, the deployments and automations; idempotent.

Only differences are written. What an operator has set stays: a paused pool or queue, an
automation that is switched off, and the pool's concurrency limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.importtools import import_object

from flows.deployment.automations import Registration, read_automations, register_automations
from flows.deployment.deployment_specs import (
    WORK_POOL,
    WORK_POOL_TYPE,
    DeploymentSpec,
    QueueSpec,
    conversions,
    drawing,
    lanes,
)

# What is compared as it is, and its attribute in Prefect's classes.
_COMPARED = {
    "entrypoint": "entrypoint",
    "version": "version",
    "work pool": "work_pool_name",
    "work queue": "work_queue_name",
    "job variables": "job_variables",
    "tags": "tags",
}


class DeploymentTakenError(Exception):
    """A deployment of this name belongs to another pool, so this stack would get another's runs."""

    def __init__(self, name: str, theirs: str, ours: str) -> None:
        super().__init__(
            f"deployment {name} belongs to work pool {theirs}, not {ours}: give each stack a Prefect "
            f"workspace of its own, or if {theirs} is gone: prefect deployment delete {name}"
        )


def register(
    base_job_template: Mapping[str, Any] | None = None,
    *,
    work_pool: str = WORK_POOL,
    work_pool_type: str = WORK_POOL_TYPE,
    queues: Sequence[QueueSpec] | None = None,
    deployments: Sequence[DeploymentSpec] | None = None,
    notify_block: str | None = None,
    dry_run: bool = False,
) -> Registration:
    """Bring the configured Prefect server to the wanted state.

    A `base_job_template` of None keeps the pool's, and gives a new pool the worker's default. By
    default the queues are the two lanes without a limit, and the deployments those of conversions
    and products. `notify_block` is `type/name` of the block that Prefect's automations notify;
    empty for none, and None leaves the automations unchanged.

    Raises:
        ValueError: the pool exists with another type.
        TypeError: an entrypoint is not a flow.
        DeploymentTakenError: a deployment of that name belongs to another pool.
        AutomationsError: the block does not exist on the server.
    """
    done = Registration(work_pool, dry_run)
    with get_client(sync_client=True) as client:
        _register_pool(client, done, base_job_template, work_pool_type)
        # The highest priority first: when a queue is written, the server shifts the priorities of
        # the pool's other queues, including `default`.
        for queue in sorted(lanes() if queues is None else queues, key=lambda each: each.priority):
            _register_queue(client, done, queue)
        for spec in (*conversions(), drawing()) if deployments is None else deployments:
            _register_deployment(client, done, spec)
        if notify_block is not None:
            register_automations(client, done, read_automations(), notify_block)
    return done


def _register_pool(
    client: SyncPrefectClient, done: Registration, template: Mapping[str, Any] | None, kind: str
) -> None:
    name = done.work_pool
    wanted = None if template is None else dict(template)
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        if done.writes(f"create work pool {name} of type {kind}"):
            first = _default_template(kind) if wanted is None else wanted
            client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=first))
            done.pool_is_new = True
        return
    if found.type != kind:
        raise ValueError(f"work pool {name} is of type {found.type}, not {kind}")
    change = f"change the base job template of work pool {name}"
    if wanted not in (None, found.base_job_template) and done.writes(change):
        client.update_work_pool(name, WorkPoolUpdate(base_job_template=wanted))


def _default_template(kind: str) -> dict[str, Any]:
    """The default template of this worker type, if its package is installed."""
    # Deferred: prefect-aws belongs to the worker, not to the conversion.
    from prefect.workers.base import BaseWorker  # noqa: PLC0415

    worker = BaseWorker.get_worker_class_from_type(kind)
    return worker.get_default_base_job_template() if worker is not None else {}


def _register_queue(client: SyncPrefectClient, done: Registration, wanted: QueueSpec) -> None:
    ours = {"priority": wanted.priority, "concurrency_limit": wanted.concurrency_limit}
    settings = f"(priority {wanted.priority}"
    if wanted.concurrency_limit is not None:
        settings += f", {wanted.concurrency_limit} at a time"
    pool = {"work_pool_name": done.work_pool}
    try:
        found = client.read_work_queue_by_name(wanted.name, work_pool_name=done.work_pool)
    except ObjectNotFound:
        if done.writes(f"create work queue {wanted.name} {settings})"):
            body = {"name": wanted.name, **ours}
            client.request(
                "POST", "/work_pools/{work_pool_name}/queues", path_params=pool, json=body
            )
        return
    theirs = {"priority": found.priority, "concurrency_limit": found.concurrency_limit}
    if ours != theirs and done.writes(f"change work queue {wanted.name} {settings})"):
        where = pool | {"name": wanted.name}
        client.request(
            "PATCH", "/work_pools/{work_pool_name}/queues/{name}", path_params=where, json=ours
        )


def flow_of(spec: DeploymentSpec) -> Flow[..., Any]:
    """Return a deployment's flow.

    Raises:
        TypeError: its entrypoint is not a flow.
    """
    flow = import_object(spec.entrypoint)
    if not isinstance(flow, Flow):
        raise TypeError(f"{spec.entrypoint} is not a flow")
    return flow


def _register_deployment(
    client: SyncPrefectClient, done: Registration, spec: DeploymentSpec
) -> None:
    limit = spec.concurrency_limit and ConcurrencyLimitConfig(
        limit=spec.concurrency_limit, collision_strategy=ConcurrencyLimitStrategy(spec.collision)
    )
    wanted = RunnerDeployment.from_flow(
        flow_of(spec),
        name=spec.name,
        work_pool_name=done.work_pool,
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
    name = wanted.full_name
    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        if done.writes(f"create deployment {name}"):
            done.deployments[name] = str(wanted.apply())
        return
    if found.work_pool_name not in {None, done.work_pool}:
        raise DeploymentTakenError(name, str(found.work_pool_name), done.work_pool)
    done.deployments[name] = str(found.id)
    differing = _differing(spec, wanted, found)
    if differing and done.writes(f"change {', '.join(differing)} of deployment {name}"):
        wanted.apply()


def _differing(
    spec: DeploymentSpec, wanted: RunnerDeployment, found: DeploymentResponse
) -> list[str]:
    """What the server has otherwise than wanted, in words."""
    limit, options = found.global_concurrency_limit, found.concurrency_options
    collision = options.collision_strategy.value if options else "ENQUEUE"
    ours = {name: getattr(wanted, attribute) for name, attribute in _COMPARED.items()} | {
        "schedule": [spec.cron] if spec.cron else [],
        "default parameters": dict(spec.parameters),
        "concurrency limit": (spec.concurrency_limit, spec.collision)
        if spec.concurrency_limit
        else None,
        "parameters": _schema(wanted._parameter_openapi_schema.model_dump()),  # noqa: SLF001 - from_flow stores it only there
    }
    theirs = {name: getattr(found, attribute) for name, attribute in _COMPARED.items()} | {
        "schedule": [
            getattr(each.schedule, "cron", str(each.schedule)) for each in found.schedules
        ],
        "default parameters": found.parameters,
        "concurrency limit": (limit.limit, collision) if limit else None,
        "parameters": _schema(found.parameter_openapi_schema or {}),
    }
    return [name for name, value in ours.items() if theirs[name] != value]


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter schema without empty entries, which the server does not store."""
    return {name: value for name, value in schema.items() if value}

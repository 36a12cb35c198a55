"""Register the work pool and the deployments of the conversion flows, as often as one likes.

Only what differs is written, and only what is ours: whether an operator has
paused the pool, and its concurrency limit, stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.types.entrypoint import EntrypointType

from flows.convert_raw_sonar import convert_raw_sonar
from flows.convert_raw_sonar_batch import convert_raw_sonar_batch

WORK_POOL = "echodrop"
WORK_POOL_TYPE = "ecs"
DEPLOYMENT = "ecs"


@dataclass
class Registration:
    """What a registration did, or would do.

    Attributes:
        changes: sentences for people; empty where all was there already.
        deployment_id: of the flow that converts one file; None where nothing
            was written and nothing was there.
        batch_deployment_id: of the flow that converts many, likewise.
    """

    work_pool: str
    changes: list[str] = field(default_factory=list)
    deployment_id: str | None = None
    batch_deployment_id: str | None = None


def register(
    base_job_template: Mapping[str, Any] | Path | None = None,
    *,
    work_pool: str = WORK_POOL,
    work_pool_type: str = WORK_POOL_TYPE,
    deployment: str = DEPLOYMENT,
    job_variables: Mapping[str, Any] | None = None,
    tags: tuple[str, ...] = ("echodrop",),
    dry_run: bool = False,
) -> Registration:
    """Bring the Prefect server that the settings name to the wanted state.

    Args:
        base_job_template: of the work pool, as a mapping or a JSON file; None
            keeps what the pool has, and gives a new one the worker's default.
        work_pool: name of the pool.
        work_pool_type: `ecs`; `process` runs flows without AWS.
        deployment: name of the deployment, of either flow.
        job_variables: the deployments' own, over the pool's.
        tags: of the deployments.
        dry_run: tell what would change and write nothing.

    Raises:
        ValueError: the template is no JSON object with `job_configuration` and
            `variables`, or the pool is there and of another type.
    """
    template = _template(base_job_template)
    one, many = (
        RunnerDeployment.from_flow(
            flow,
            name=deployment,
            work_pool_name=work_pool,
            job_variables=dict(job_variables or {}),
            tags=list(tags),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow in (convert_raw_sonar, convert_raw_sonar_batch)
    )
    done = Registration(work_pool)
    with get_client(sync_client=True) as client:
        _register_pool(client, done, template, work_pool_type, dry_run=dry_run)
        done.deployment_id = _register_deployment(client, done, one, dry_run=dry_run)
        done.batch_deployment_id = _register_deployment(client, done, many, dry_run=dry_run)
    return done


def _template(given: Mapping[str, Any] | Path | None) -> dict[str, Any] | None:
    if given is None:
        return None
    source = str(given) if isinstance(given, Path) else "the base job template"
    try:
        told = json.loads(given.read_text("utf-8")) if isinstance(given, Path) else dict(given)
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from error
    if not isinstance(told, dict) or not {"job_configuration", "variables"} <= told.keys():
        raise ValueError(f"{source} is no object with job_configuration and variables")
    return told


def _register_pool(
    client: SyncPrefectClient,
    done: Registration,
    template: dict[str, Any] | None,
    kind: str,
    *,
    dry_run: bool,
) -> None:
    try:
        found: WorkPool | None = client.read_work_pool(done.work_pool)
    except ObjectNotFound:
        found = None
    if found is None:
        done.changes.append(f"create work pool {done.work_pool} of type {kind}")
        if not dry_run:
            client.create_work_pool(
                WorkPoolCreate(
                    name=done.work_pool,
                    type=kind,
                    base_job_template=template if template is not None else _default_template(kind),
                )
            )
        return
    if found.type != kind:
        raise ValueError(f"work pool {done.work_pool} is of type {found.type}, not {kind}")
    if template is not None and found.base_job_template != template:
        done.changes.append(f"change the base job template of work pool {done.work_pool}")
        if not dry_run:
            client.update_work_pool(done.work_pool, WorkPoolUpdate(base_job_template=template))


def _default_template(kind: str) -> dict[str, Any]:
    """What the worker of this type brings along, where its package is installed."""
    # Deferred: prefect-aws belongs to the worker, not to the conversion.
    from prefect.workers.base import BaseWorker  # noqa: PLC0415

    worker = BaseWorker.get_worker_class_from_type(kind)
    return worker.get_default_base_job_template() if worker is not None else {}


def _register_deployment(
    client: SyncPrefectClient, done: Registration, wanted: RunnerDeployment, *, dry_run: bool
) -> str | None:
    """Write what differs; the deployment's id, None where there is none yet."""
    identity: str | None = None
    try:
        found = client.read_deployment_by_name(wanted.full_name)
    except ObjectNotFound:
        done.changes.append(f"create deployment {wanted.full_name}")
    else:
        identity = str(found.id)
        ours = {
            "entrypoint": wanted.entrypoint,
            "work pool": wanted.work_pool_name,
            "job variables": wanted.job_variables,
            "tags": wanted.tags,
            "parameters": _schema(wanted._parameter_openapi_schema.model_dump()),  # noqa: SLF001 - from_flow puts it nowhere else
        }
        theirs = {
            "entrypoint": found.entrypoint,
            "work pool": found.work_pool_name,
            "job variables": found.job_variables,
            "tags": found.tags,
            "parameters": _schema(found.parameter_openapi_schema or {}),
        }
        differing = [name for name, value in ours.items() if theirs[name] != value]
        if not differing:
            return identity
        done.changes.append(f"change {', '.join(differing)} of deployment {wanted.full_name}")
    return identity if dry_run else str(wanted.apply())


def _schema(told: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter schema without its empty entries, which the server does not keep."""
    return {name: value for name, value in told.items() if value}

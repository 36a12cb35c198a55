"""Register the work pool, its queues, the deployments and automations; idempotent.

Only differences are written. What an operator has set stays: a paused pool or queue, an
automation that is switched off, and the pool's concurrency limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound

from flows.deployment.automations import read_automations
from flows.deployment.deployment_specs import (
    WORK_POOL,
    WORK_POOL_TYPE,
    DeploymentSpec,
    QueueSpec,
    conversions,
    drawing,
    lanes,
)
from flows.deployment.registered_automations import register_automations
from flows.deployment.registered_deployment import register_deployment
from flows.deployment.registered_queues import register_queues
from flows.deployment.registration import Registration


def register(
    base_job_template: Mapping[str, Any] | Path | None = None,
    *,
    work_pool: str = WORK_POOL,
    work_pool_type: str = WORK_POOL_TYPE,
    queues: Sequence[QueueSpec] | None = None,
    deployments: Sequence[DeploymentSpec] | None = None,
    notify_block: str | None = None,
    dry_run: bool = False,
) -> Registration:
    """Bring the configured Prefect server to the wanted state.

    Args:
        base_job_template: template of the work pool, as a mapping or a JSON file; None
            keeps the pool's template, and gives a new pool the worker's default.
        work_pool: name of the pool.
        work_pool_type: `ecs`; `process` runs flows without AWS.
        queues: queues of the pool; by default the two lanes without a limit.
        deployments: by default those of conversions and products.
        notify_block: `type/name` of the block that Prefect's automations notify; empty
            for none, and None leaves the automations unchanged.
        dry_run: list the changes and write nothing.

    Raises:
        ValueError: the template is not a JSON object with `job_configuration` and
            `variables`, or the pool exists with another type.
        TypeError: an entrypoint is not a flow.
        DeploymentTakenError: a deployment of that name belongs to another pool.
        AutomationsError: the block does not exist on the server.
    """
    template = _template(base_job_template)
    done = Registration(work_pool, dry_run)
    with get_client(sync_client=True) as client:
        _register_pool(client, done, template, work_pool_type)
        register_queues(client, done, lanes() if queues is None else queues)
        for spec in (*conversions(), drawing()) if deployments is None else deployments:
            register_deployment(client, done, spec)
        if notify_block is not None:
            register_automations(client, done, read_automations(), notify_block)
    return done


def _template(given: Mapping[str, Any] | Path | None) -> dict[str, Any] | None:
    if given is None:
        return None
    source = str(given) if isinstance(given, Path) else "the base job template"
    try:
        template = json.loads(given.read_text("utf-8")) if isinstance(given, Path) else dict(given)
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from error
    if not isinstance(template, dict) or not {"job_configuration", "variables"} <= template.keys():
        raise ValueError(f"{source} is not an object with job_configuration and variables")
    return template


def _register_pool(
    client: SyncPrefectClient, done: Registration, template: dict[str, Any] | None, kind: str
) -> None:
    try:
        found: WorkPool | None = client.read_work_pool(done.work_pool)
    except ObjectNotFound:
        found = None
    if found is None:
        if done.writes(f"create work pool {done.work_pool} of type {kind}"):
            client.create_work_pool(
                WorkPoolCreate(
                    name=done.work_pool,
                    type=kind,
                    base_job_template=template if template is not None else _default_template(kind),
                )
            )
            done.pool_is_new = True
        return
    if found.type != kind:
        raise ValueError(f"work pool {done.work_pool} is of type {found.type}, not {kind}")
    change = f"change the base job template of work pool {done.work_pool}"
    if template not in (None, found.base_job_template) and done.writes(change):
        client.update_work_pool(done.work_pool, WorkPoolUpdate(base_job_template=template))


def _default_template(kind: str) -> dict[str, Any]:
    """The default template of this worker type, if its package is installed."""
    # Deferred: prefect-aws belongs to the worker, not to the conversion.
    from prefect.workers.base import BaseWorker  # noqa: PLC0415

    worker = BaseWorker.get_worker_class_from_type(kind)
    return worker.get_default_base_job_template() if worker is not None else {}

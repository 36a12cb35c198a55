"""What is registered with Prefect: the pool's work queues, and deployments as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

WORK_POOL = "echodrop"
WORK_POOL_TYPE = "ecs"
LIVE = "live"
BACKFILL = "backfill"


@dataclass(frozen=True)
class QueueSpec:
    """A work queue of the pool.

    Attributes:
        priority: 1 comes first; a worker takes what it can of one before it looks
            at the next.
        concurrency_limit: runs of it at a time; None for no limit.
    """

    name: str
    priority: int
    concurrency_limit: int | None = None


def lanes(
    backfill_limit: int | None = None, live_limit: int | None = None
) -> tuple[QueueSpec, QueueSpec]:
    """Return the two lanes: uploads as they come, and what may wait, so many of each at a time."""
    return QueueSpec(LIVE, 1, live_limit), QueueSpec(BACKFILL, 2, backfill_limit)


@dataclass(frozen=True)
class DeploymentSpec:
    """A deployment of a flow on the work pool.

    Attributes:
        entrypoint: the flow as `package.module.function`; it has to be importable
            where it is registered and where it runs.
        name: of the deployment.
        work_queue: where its runs wait unless their creator names another.
        tags: of the deployment and each of its runs.
        cron: when it runs by itself, in UTC; None for never.
        parameters: its runs' own, over the flow's defaults.
        job_variables: over the pool's.
        concurrency_limit: runs at a time; None for no limit. The server keeps the
            slots' leases in memory unless told otherwise, and a run whose lease is
            lost with a restart is ended: no limit for what must not be.
        collision: what becomes of a run beyond the limit.
    """

    entrypoint: str
    name: str = "ecs"
    work_queue: str = LIVE
    tags: tuple[str, ...] = ("echodrop",)
    cron: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    concurrency_limit: int | None = None
    collision: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"


def conversions(
    name: str = "ecs",
    *,
    job_variables: Mapping[str, Any] | None = None,
    concurrency_limit: int | None = None,
) -> tuple[DeploymentSpec, DeploymentSpec]:
    """Return the deployments of the flows that convert: one file, and a list of files."""
    one, many = (
        DeploymentSpec(
            entrypoint,
            name,
            job_variables=job_variables or {},
            concurrency_limit=concurrency_limit,
        )
        for entrypoint in (
            "flows.convert_raw_sonar.convert_raw_sonar",
            "flows.convert_raw_sonar_batch.convert_raw_sonar_batch",
        )
    )
    return one, many

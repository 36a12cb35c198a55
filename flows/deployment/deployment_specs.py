"""The work queues and deployments to register with Prefect, as plain data."""

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
    """A work queue of the pool; its limit is of runs at a time.

    `priority` 1 is the highest; a worker takes all it can from one queue before the next.
    """

    name: str
    priority: int
    concurrency_limit: int | None = None


def lanes(
    backfill_limit: int | None = None, live_limit: int | None = None
) -> tuple[QueueSpec, QueueSpec]:
    """Return the two lanes, for live uploads and for backfill, with their concurrency limits."""
    return QueueSpec(LIVE, 1, live_limit), QueueSpec(BACKFILL, 2, backfill_limit)


@dataclass(frozen=True)
class DeploymentSpec:
    """A deployment of a flow on the work pool.

    `entrypoint` is the flow as `package.module.function`; it must be importable where it is registered
    and where it runs. `cron` is in UTC. `collision`: what happens to a run beyond `concurrency_limit`.

    By default the server keeps the leases of a limit's slots in memory, and ends a run whose lease was
    lost in a restart. So a run that must not be ended has no limit.
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
    name: str = "ecs", *, concurrency_limit: int | None = None
) -> tuple[DeploymentSpec, DeploymentSpec]:
    """Return the deployments of both conversion flows: of one file, and of a batch."""
    one, many = (
        DeploymentSpec(entrypoint, name, concurrency_limit=concurrency_limit)
        for entrypoint in (
            "flows.convert_raw_sonar.convert_raw_sonar",
            "flows.convert_raw_sonar_batch.convert_raw_sonar_batch",
        )
    )
    return one, many


def drawing() -> DeploymentSpec:
    """Return the deployment that makes products of outputs that exist already, behind live uploads."""
    return DeploymentSpec("flows.make_products.make_products", work_queue=BACKFILL)

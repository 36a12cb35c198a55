"""What Prefect knows of its own health: deployments, the work pool, its workers and its queues."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from lambda_trigger.decisions.outcomes import LANES
from operations.clients.prefect_api import RateLimitedPrefectApi
from watchdog.prefect_http import PrefectUnreachableError

#: The flow of `echodrop draw s3://…`.
DRAWING_FLOW = "make-products"
# It ends Completed under the first name if some products could not be made.
_DRAWN_IN_PART = ("PartlyMade", "Failed", "Crashed")
# Seconds after which no request is repeated: who asks for the status wants to know now.
_PATIENCE = 5.0
_WAITING, _WITH_TASK = ("SCHEDULED",), ("PENDING", "RUNNING", "CANCELLING")


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """A work queue: runs that wait, those of them that are late, and those with a task."""

    name: str
    waiting: int
    late: int
    running: int
    limit: int | None = None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A work pool; `heartbeat` is when a worker of it last reported, None if none ever did."""

    name: str
    is_paused: bool
    heartbeat: datetime | None
    lanes: tuple[LaneFacts, ...]


@dataclass(frozen=True)
class PrefectFacts:
    """The pools of the deployments, and the deployments and pools that are not registered.

    `failed_drawings` counts the runs of `make-products` within a day that did not make all.
    """

    pools: tuple[PoolFacts, ...] = ()
    unknown: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    missing_pools: tuple[str, ...] = ()
    failed_drawings: int = 0


def prefect_facts(api: RateLimitedPrefectApi, deployments: Collection[str]) -> PrefectFacts:
    """Read the facts about these deployments, `flow/deployment` each, and about their pools."""
    found = {name: _or_none(api, f"/deployments/name/{quote(name)}") for name in deployments}
    pools = sorted({str(each["work_pool_name"]) for each in found.values() if each})
    by_name = {name: _pool(api, name) for name in pools}
    return PrefectFacts(
        tuple(each for each in by_name.values() if each),
        tuple(name for name, each in found.items() if each is None),
        tuple(name for name, each in found.items() if each and each.get("paused")),
        tuple(name for name, each in by_name.items() if each is None),
        _failed_drawings(api),
    )


def _failed_drawings(api: RateLimitedPrefectApi) -> int:
    since = datetime.now(UTC) - timedelta(days=1)
    wanted = {
        "flows": {"name": {"any_": [DRAWING_FLOW]}},
        "flow_runs": {
            "state": {"name": {"any_": list(_DRAWN_IN_PART)}},
            "end_time": {"after_": since.isoformat()},
        },
    }
    return int(_ask(api, "POST", "/flow_runs/count", wanted))


def _ask(api: RateLimitedPrefectApi, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - any JSON
    return api.ask(method, path, body, patience=_PATIENCE)


def _or_none(api: RateLimitedPrefectApi, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = _ask(api, "GET", path, None)
    except PrefectUnreachableError as error:
        if error.status == 404:
            return None
        raise
    return found


def _pool(api: RateLimitedPrefectApi, name: str) -> PoolFacts | None:
    path = f"/work_pools/{quote(name, safe='')}"
    pool = _or_none(api, path)
    if pool is None:
        return None
    workers = _ask(api, "POST", f"{path}/workers/filter", {})
    reported = [_time(each["last_heartbeat_time"]) for each in workers]
    return PoolFacts(
        name,
        bool(pool.get("is_paused")),
        max(reported, default=None),
        tuple(_lanes(api, name, _ask(api, "POST", f"{path}/queues/filter", {}))),
    )


def _lanes(
    api: RateLimitedPrefectApi, pool: str, queues: list[dict[str, Any]]
) -> Iterator[LaneFacts]:
    for queue in queues:
        if queue["name"] not in LANES:
            continue

        def count(lane: str = queue["name"], **state: Collection[str]) -> int:
            wanted = {
                "work_pools": {"name": {"any_": [pool]}},
                "flow_runs": {
                    "work_queue_name": {"any_": [lane]},
                    "state": {what: {"any_": list(of)} for what, of in state.items()},
                },
            }
            return int(_ask(api, "POST", "/flow_runs/count", wanted))

        yield LaneFacts(
            queue["name"],
            count(type=_WAITING),
            count(name=("Late",)),
            count(type=_WITH_TASK),
            queue.get("concurrency_limit"),
            bool(queue.get("is_paused")),
        )


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

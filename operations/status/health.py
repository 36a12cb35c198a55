"""Whether the system is healthy: a line for each part, with what to do about a fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from rich.console import Console

from lambda_trigger.decisions.outcomes import LANES, LIVE
from lambda_trigger.decisions.rules_document import Rules
from lambda_trigger.decisions.wording import counted
from operations.clients.prefect_runs import DRAWING_FLOW, WITH_TASKS
from operations.console.printing import write
from operations.console.report import age
from watchdog.prefect_http import PrefectUnreachableError

# Prefect itself takes a worker for offline after three heartbeats of 30 seconds.
HEARTBEAT = timedelta(seconds=90)
QUEUE, DEAD_LETTERS, PREFECT = "upload queue", "dead letters", "Prefect"
# Runs of `make-products` end Completed under the first name if some products could not be made.
_DRAWN_IN_PART = ("PartlyMade", "Failed", "Crashed")
_LABEL = 14

# Asks Prefect's API: method, path, body.
Ask = Callable[[str, str, object], Any]


@dataclass(frozen=True, slots=True)
class HealthLine:
    """The state of one part; a fault has a remedy."""

    part: str
    state: str
    remedy: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to act."""
        return bool(self.remedy)


def health_lines(
    rules: Rules,
    ask: Ask,
    depth: Callable[[str], int],
    queues: Mapping[str, str | None],
    now: datetime,
) -> Iterator[HealthLine]:
    """Yield a line for each part of the system.

    `depth` reads the number of messages in a queue by its URL. `queues` has the URL of each queue by
    its part; None if it is unknown.
    """
    for part, url in queues.items():
        if url is None:
            yield HealthLine(part, "unknown: its URL is not in the environment")
            continue
        waiting = depth(url)
        is_fault = part == DEAD_LETTERS and waiting > 0
        yield HealthLine(part, counted(waiting, "message"), "echodrop replay --dlq" * is_fault)
    began = time.monotonic()
    try:
        lines = list(_of_prefect(rules, ask, now))
    except PrefectUnreachableError as error:
        remedy = "check PREFECT_API_URL and that the server runs; uploads wait in the queue"
        yield HealthLine(PREFECT, str(error), remedy)
        return
    yield HealthLine(PREFECT, f"answers within {time.monotonic() - began:.1f} s")
    yield from lines


def _of_prefect(rules: Rules, ask: Ask, now: datetime) -> Iterator[HealthLine]:
    deployments = {rule.deployment for rule in rules.prefixes if not rule.ignore}
    deployments |= {rules.batch.deployment} if rules.batch else set()
    pools = set()
    for name in sorted(deployments):
        found = _or_none(ask, f"/deployments/name/{quote(name)}")
        if found is None:
            yield HealthLine("deployment", f"{name} is not registered", "echodrop deploy")
            continue
        pools.add(str(found["work_pool_name"]))
        if found.get("paused"):
            yield HealthLine("deployment", f"{name} is paused", "resume it in Prefect's UI")
    for name in sorted(pools):
        yield from _of_pool(name, ask, now)
    drawn = {
        "flows": {"name": {"any_": [DRAWING_FLOW]}},
        "flow_runs": {
            "state": {"name": {"any_": list(_DRAWN_IN_PART)}},
            "end_time": {"after_": (datetime.now(UTC) - timedelta(days=1)).isoformat()},
        },
    }
    failed = int(ask("POST", "/flow_runs/count", drawn))
    state = f"{counted(failed, 'run')} of {DRAWING_FLOW} within a day did not make all"
    yield HealthLine("products", state, "ProductsFailedAlarm in the runbook" * bool(failed))


def _of_pool(name: str, ask: Ask, now: datetime) -> Iterator[HealthLine]:
    path = f"/work_pools/{quote(name, safe='')}"
    pool = _or_none(ask, path)
    if pool is None:
        yield HealthLine("work pool", f"{name} is not registered", "echodrop deploy")
        return
    resume = f"prefect work-pool resume {name}" * bool(pool.get("is_paused"))
    yield HealthLine("work pool", f"{name} is {'paused' if resume else 'active'}", resume)
    workers = ask("POST", f"{path}/workers/filter", {})
    beats = [datetime.fromisoformat(each["last_heartbeat_time"]) for each in workers]
    reported = max(
        (each if each.tzinfo else each.replace(tzinfo=UTC) for each in beats), default=None
    )
    if reported is None:
        yield HealthLine("worker", "none has ever reported", "start it: WorkerAlarm in the runbook")
    elif now - reported > HEARTBEAT:
        since = f"the last one reported {age(reported, now)} ago"
        yield HealthLine("worker", since, "WorkerHeartbeatAlarm in the runbook")
    else:
        yield HealthLine("worker", "reports")
    for queue in ask("POST", f"{path}/queues/filter", {}):
        if queue["name"] in LANES:
            yield _of_lane(name, queue, ask, is_pool_paused=bool(resume))


def _of_lane(pool: str, queue: Mapping[str, Any], ask: Ask, *, is_pool_paused: bool) -> HealthLine:
    lane = str(queue["name"])

    def count(**state: list[str]) -> int:
        wanted = {
            "work_pools": {"name": {"any_": [pool]}},
            "flow_runs": {
                "work_queue_name": {"any_": [lane]},
                "state": {what: {"any_": of} for what, of in state.items()},
            },
        }
        return int(ask("POST", "/flow_runs/count", wanted))

    waiting, late = count(type=["SCHEDULED"]), count(name=["Late"])
    state = f"{counted(waiting, 'run')} waiting, {count(type=list(WITH_TASKS)):,} running"
    limit = queue.get("concurrency_limit")
    if limit is not None:
        state += f" of at most {limit:,}"
    if queue.get("is_paused"):
        resume = f"prefect work-queue resume {lane} --pool {pool}"
        return HealthLine(f"lane {lane}", f"{state}; it is paused", resume)
    # Runs of a backfill wait by design, and those of a paused pool have their cause above.
    if late and lane == LIVE and not is_pool_paused:
        return HealthLine(f"lane {lane}", f"{state}, {late:,} late", "RunsLateAlarm in the runbook")
    return HealthLine(f"lane {lane}", state)


def _or_none(ask: Ask, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = ask("GET", path, None)
    except PrefectUnreachableError as error:
        if error.status == 404:
            return None
        raise
    return found


def print_health(console: Console, lines: list[HealthLine]) -> None:
    """Print first whether all is well, then each part, and the remedy under each fault."""
    faults = sum(line.is_fault for line in lines)
    verdict = f"The system has {counted(faults, 'fault')}" if faults else "The system is healthy"
    write(console, verdict, style="bold red" if faults else "bold green")
    for line in lines:
        style = "red" if line.is_fault else ""
        write(console, f"{line.part:<{_LABEL}}{line.state}", indent=2, style=style)
        if line.remedy:
            write(console, f"→ {line.remedy}", indent=2 + _LABEL, style=style)
    console.print()


def health_as_json(lines: list[HealthLine]) -> dict[str, Any]:
    """The health as JSON values."""
    return {
        "healthy": not any(line.is_fault for line in lines),
        "health": [asdict(line) for line in lines],
    }

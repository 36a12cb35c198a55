"""Whether the system is healthy: a line for each part, with what to do about a fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console

from lambda_trigger.decisions.rules_document import Rules
from lambda_trigger.decisions.wording import counted
from operations.clients.prefect_health import LaneFacts, PoolFacts, PrefectFacts
from operations.console.printing import write
from operations.console.report import age
from watchdog.prefect_http import PrefectUnreachableError

# Prefect itself takes a worker for offline after three heartbeats of 30 seconds.
HEARTBEAT = timedelta(seconds=90)
QUEUE, DEAD_LETTERS, PREFECT = "upload queue", "dead letters", "Prefect"
_LABEL = 14


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
    prefect: Callable[[list[str]], PrefectFacts],
    depth: Callable[[str], int],
    queues: Mapping[str, str | None],
    now: datetime,
) -> Iterator[HealthLine]:
    """Yield a line for each part of the system.

    `prefect` reads the facts about deployments, `depth` the number of messages in a queue by its
    URL. `queues` has the URL of each queue by its part; None if it is unknown.
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
        facts = prefect(deployments_of(rules))
    except PrefectUnreachableError as error:
        remedy = "check PREFECT_API_URL and that the server runs; uploads wait in the queue"
        yield HealthLine(PREFECT, str(error), remedy)
        return
    yield HealthLine(PREFECT, f"answers within {time.monotonic() - began:.1f} s")
    for name in facts.unknown:
        yield HealthLine("deployment", f"{name} is not registered", "echodrop deploy")
    for name in facts.paused:
        yield HealthLine("deployment", f"{name} is paused", "resume it in Prefect's UI")
    for name in facts.missing_pools:
        yield HealthLine("work pool", f"{name} is not registered", "echodrop deploy")
    for pool in facts.pools:
        yield from _of_pool(pool, now)
    failed = facts.failed_drawings
    state = f"{counted(failed, 'run')} of make-products within a day did not make all"
    yield HealthLine("products", state, "ProductsFailedAlarm in the runbook" * bool(failed))


def _of_pool(pool: PoolFacts, now: datetime) -> Iterator[HealthLine]:
    resume = f"prefect work-pool resume {pool.name}" * pool.is_paused
    yield HealthLine("work pool", f"{pool.name} is {'paused' if resume else 'active'}", resume)
    reported = pool.heartbeat
    if reported is None:
        yield HealthLine("worker", "none has ever reported", "start it: WorkerAlarm in the runbook")
    elif now - reported > HEARTBEAT:
        since = f"the last one reported {age(reported, now)} ago"
        yield HealthLine("worker", since, "WorkerHeartbeatAlarm in the runbook")
    else:
        yield HealthLine("worker", "reports")
    for lane in pool.lanes:
        yield _of_lane(lane, pool)


def deployments_of(rules: Rules) -> list[str]:
    """The deployments that the rules name, each once."""
    found = {rule.deployment for rule in rules.prefixes if not rule.ignore}
    return sorted(found | ({rules.batch.deployment} if rules.batch else set()))


def _of_lane(lane: LaneFacts, pool: PoolFacts) -> HealthLine:
    state = f"{counted(lane.waiting, 'run')} waiting, {lane.running:,} running"
    if lane.limit is not None:
        state += f" of at most {lane.limit:,}"
    part = f"lane {lane.name}"
    if lane.is_paused:
        resume = f"prefect work-queue resume {lane.name} --pool {pool.name}"
        return HealthLine(part, f"{state}; it is paused", resume)
    # Runs of a backfill wait by design, and those of a paused pool have their cause above.
    if lane.late and lane.name == "live" and not pool.is_paused:
        return HealthLine(part, f"{state}, {lane.late:,} late", "RunsLateAlarm in the runbook")
    return HealthLine(part, state)


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

"""When flow runs came into their states, as Prefect's server has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.prefect_api import FINAL_STATES, PrefectApi


@dataclass(frozen=True)
class RunTimes:
    """One run's way; None for what has not come yet.

    Attributes:
        asked: it was asked for.
        taken: the worker took it from its work queue, the first time.
        begun: its task ran, the first time.
        ended: it was at an end, the last time.
    """

    asked: datetime
    taken: datetime | None
    begun: datetime | None
    ended: datetime | None


def run_times(api: PrefectApi, run_id: str) -> RunTimes:
    """Read a run's history of states."""
    return times_of(api.request("GET", f"/flow_run_states/?flow_run_id={run_id}"))


def times_of(states: list[dict[str, Any]]) -> RunTimes:
    """Put a history of states, in any order, as the API tells them, into times.

    Raises:
        ValueError: the history is empty.
    """
    found = sorted((datetime.fromisoformat(state["timestamp"]), state["type"]) for state in states)
    if not found:
        raise ValueError("a run without any state")
    last_at, last = found[-1]
    return RunTimes(
        asked=found[0][0],
        taken=next((at for at, kind in found if kind == "PENDING"), None),
        begun=next((at for at, kind in found if kind == "RUNNING"), None),
        ended=last_at if last in FINAL_STATES else None,
    )

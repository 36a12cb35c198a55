"""When flow runs entered their states, from the Prefect server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sandbox.prefect.prefect_api import FINAL_STATES, SandboxPrefectApi


@dataclass(frozen=True)
class RunTimes:
    """Times of a flow run; None if the run has not reached the state.

    Attributes:
        created: when it was created.
        pending: when the worker first took it from its work queue.
        started: when it first ran.
        ended: when it last ended.
    """

    created: datetime
    pending: datetime | None
    started: datetime | None
    ended: datetime | None


def run_times(api: SandboxPrefectApi, run_id: str) -> RunTimes:
    """Return the times of a run from its state history.

    Raises:
        ValueError: the history is empty.
    """
    states = api.request("GET", f"/flow_run_states/?flow_run_id={run_id}")
    found = sorted((datetime.fromisoformat(state["timestamp"]), state["type"]) for state in states)
    if not found:
        raise ValueError(f"flow run {run_id} has no states")
    last_at, last = found[-1]
    return RunTimes(
        created=found[0][0],
        pending=next((at for at, kind in found if kind == "PENDING"), None),
        started=next((at for at, kind in found if kind == "RUNNING"), None),
        ended=last_at if last in FINAL_STATES else None,
    )

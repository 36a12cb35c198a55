"""Reads the task runs of a flow run from the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.parts.waiting import wait_until


def end_of(state: Any) -> tuple[str, str, str]:
    """The type and the name of a flow run's state, and the outcome of its failure."""
    return state.type.value, state.name, state.result(raise_on_failure=False).outcome


def ended_task_runs(
    api: Callable[..., Any], flow_run_id: str, count: int | None = None
) -> list[dict[str, Any]]:
    """Return a run's task runs, after all have ended on the server.

    Their states arrive as events, which may come after the flow's end.
    """
    query = {"flow_runs": {"id": {"any_": [flow_run_id]}}}

    def ended() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api("POST", "/task_runs/filter", query)
        all_ended = all(run["end_time"] for run in found)
        return found if all_ended and count in {None, len(found)} else []

    return wait_until(ended, 120, "the ends of all task runs")

"""Starts the process of a flow run as a task does, and reads its task runs from the server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.parts.environments import system_environment
from sandbox.parts.waiting import wait_until


def started_task(run_id: str, api_url: str, folder: Path, **more: str) -> subprocess.Popen[bytes]:
    """The first process of a task that executes this flow run in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.runs.execute_run"],
        env={
            **os.environ,
            **system_environment(),
            "PREFECT_API_URL": api_url,
            "PREFECT__FLOW_RUN_ID": run_id,
            # Without it SIGTERM ends only this process, and the engine does not receive it.
            "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule",
            **more,
        },
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


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

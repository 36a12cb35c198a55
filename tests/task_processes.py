"""The processes of a sandbox's tasks."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

from sandbox.parts.orphans import marked_processes
from sandbox.system import Sandbox


def processes_by_run(sandbox: Sandbox) -> dict[str, list[psutil.Process]]:
    """Return the running processes of each flow run's task."""
    found: dict[str, list[psutil.Process]] = {}
    for process in marked_processes(sandbox.sandbox_id):
        with suppress(psutil.Error):
            if run := process.environ().get("PREFECT__FLOW_RUN_ID"):
                found.setdefault(run, []).append(process)
    return found


def task_processes(sandbox: Sandbox, run_id: str) -> list[psutil.Process]:
    """List the running processes of a flow run's task."""
    return processes_by_run(sandbox).get(run_id, [])


def flow_process(sandbox: Sandbox, run_id: str) -> psutil.Process:
    """Return the process that runs the flow; Linux kills this one if memory runs out.

    Raises:
        LookupError: the task has not started it, or has ended.
    """
    task = {process.pid: process for process in task_processes(sandbox, run_id)}
    for process in task.values():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == process.pid and process.ppid() in task:
                return process
    raise LookupError(f"flow run {run_id} has no process")

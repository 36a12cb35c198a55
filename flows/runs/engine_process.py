"""The flow's process: a fork of the task's first process, which has imported Prefect for both.

Prefect starts a flow in a new interpreter, through another interpreter that prepares a
workspace. So Prefect is imported three times, and then echopype. A task's image
contains the code, so there is no workspace to prepare, and a fork has its parent's
imports. The fork happens before the parent has a second thread. The new process imports
echopype while the parent waits for the API. It does so before Prefect's engine begins,
because two threads that import the same package can find it half imported.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Mapping
from contextlib import suppress

import anyio

# Seconds between two checks whether the process has ended.
_POLL = 0.05


class EngineProcess:
    """The parent's side, with the interface of an anyio process for Prefect."""

    def __init__(self, pid: int, environment_pipe: int) -> None:
        self.pid = pid
        self._pipe = environment_pipe
        self._returncode: int | None = None

    def begin(self, environment: Mapping[str, str]) -> None:
        """Make it run the flow run in this environment."""
        with os.fdopen(self._pipe, "w") as pipe:
            json.dump(dict(environment), pipe)

    @property
    def returncode(self) -> int | None:
        """Exit code, -N after signal N; None while it runs."""
        if self._returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._returncode = os.waitstatus_to_exitcode(status)
        return self._returncode

    async def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        # ASYNC110: Linux and macOS have no common event for it.
        while self.returncode is None:  # noqa: ASYNC110
            await anyio.sleep(_POLL)
        return self.returncode


def fork_engine() -> EngineProcess | None:
    """Fork the flow's process; returns None in that process, after it has run the flow.

    Call it before this process has a second thread.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reading)
        return EngineProcess(pid, writing)
    os.close(writing)
    # Its own process group: a signal to the task's group must not arrive before Prefect's own.
    os.setsid()
    _import_ahead()
    with os.fdopen(reading) as pipe:
        environment = pipe.read()
    # Empty if the parent ended before it had a run to start.
    if environment:
        os.environ.clear()
        os.environ.update(json.loads(environment))
        sys.argv[1:] = []
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    return None


def _import_ahead() -> None:
    # If this fails, the flow imports it again and reports the failure.
    with suppress(Exception):
        from flows.rawfile.echopype_reader import import_echopype  # noqa: PLC0415

        import_echopype()

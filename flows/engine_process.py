"""The process of a run's flow: forked from the task's first one, which has imported Prefect for both.

Prefect starts a flow in a new interpreter, by way of another one that prepares a
workspace: three times its imports, and echopype's after them. A task's image holds
the code, so there is nothing to prepare; and a fork has what its parent imported.
Forked before its parent has a thread, it imports echopype while the parent waits for
the API: before Prefect's engine begins, not beside it, because two threads that import
the same package can find it half imported.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Mapping
from contextlib import suppress

import anyio

# Seconds between two looks at whether the process has ended.
_POLL = 0.05


class EngineProcess:
    """The parent's side: it looks to Prefect like a process of anyio.

    Attributes:
        pid: its process id, which is that of its process group and session as well.
    """

    def __init__(self, pid: int, environment_pipe: int) -> None:
        self.pid = pid
        self._pipe = environment_pipe
        self._returncode: int | None = None

    def begin(self, environment: Mapping[str, str]) -> None:
        """Let it run the flow run that the environment names."""
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
        # ASYNC110: the kernel has no event for it that both Linux and macOS know.
        while self.returncode is None:  # noqa: ASYNC110
            await anyio.sleep(_POLL)
        return self.returncode


def fork_engine() -> EngineProcess | None:
    """Fork the flow's process; None in the process itself, once it has run the flow.

    Call it before this process has a second thread.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reading)
        return EngineProcess(pid, writing)
    os.close(writing)
    # A group of its own: a signal to the task's group must not come before Prefect's word of it.
    os.setsid()
    _import_ahead()
    with os.fdopen(reading) as pipe:
        environment = pipe.read()
    # Empty where the parent ended before it had a run to start.
    if environment:
        os.environ.clear()
        os.environ.update(json.loads(environment))
        sys.argv[1:] = []
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    return None


def _import_ahead() -> None:
    # Whatever is wrong with it, the flow imports it again and says so as its own failure.
    with suppress(Exception):
        from flows.raw_opening import import_echopype  # noqa: PLC0415

        import_echopype()

"""The first process of a task: `prefect flow-run execute` with an exit code for the flow's process.

Prefect's command runs the flow in another process, marks the run as crashed if that
dies, and always exits with 0. If memory runs out, Linux kills the largest process,
which is the flow's, and ECS would report a task that succeeded. So this command exits
with the exit code of the flow's process. The worker's observer, the retry on a larger
task and the alerts read it from ECS.

The flow's process is a fork of this one. Prefect starts a flow in a new interpreter, through
another interpreter that prepares a workspace. So Prefect is imported three times, and then
echopype. A task's image contains the code, so there is no workspace to prepare, and a fork has its
parent's imports. The fork happens before the parent has a second thread. The new process imports
echopype while the parent waits for the API. It does so before Prefect's engine begins, because two
threads that import the same package can find it half imported.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import anyio
import anyio.abc
from prefect.cli import app, flow_run
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow, load_flow_from_flow_run
from prefect.logging import get_logger
from prefect.runner import _flow_run_executor, _starter_engine
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutor
from prefect.runner._hook_runner import HookRunner
from prefect.runner._process_manager import ProcessHandle
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.states import Cancelled

from flows.core.only_warned import only_warned

KILLED = 128 + signal.SIGKILL
# Seconds in which the flow's process must acknowledge a stop before it is killed. ECS gives a task
# thirty, Prefect gives the process one, and C code may block Python for longer.
_ACKNOWLEDGE_SECONDS = 10.0
# Seconds for Prefect to answer whether the end was requested.
_PATIENCE = 10.0
# Seconds between two checks whether the flow's process has ended.
_POLL = 0.05
_log = partial(get_logger, "flows.runs.execute_run")


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


class _Executor(FlowRunExecutor):
    """Prefect's executor, which also keeps the exit code of the flow's process.

    Attributes:
        exit_code: exit code of the task; 0 if the flow reported its own end, or if the
            end was requested.
    """

    exit_code: ClassVar[int] = 0

    async def _start_process(
        self, outer_task_status: anyio.abc.TaskStatus[ProcessHandle]
    ) -> ProcessHandle:
        # A run that cannot be started counts as crashed.
        _Executor.exit_code = 1
        try:
            handle = await super()._start_process(outer_task_status)
            _Executor.exit_code = await self._exit_code(handle.returncode or 0)
        except anyio.get_cancelled_exc_class():
            # After SIGTERM, once Prefect has set the run's next state.
            _Executor.exit_code = 0
            raise
        if _Executor.exit_code == KILLED:
            # Immediately, as if the kernel had killed this process too: the observer marks the run
            # as crashed, and the trigger waits for that (larger_task.py).
            _log().error("the flow's process was killed: out of memory?")
            os._exit(KILLED)
        return handle

    async def _exit_code(self, ended: int) -> int:
        reported = self._get_attempt_conclusion(self._flow_run.id) is not None
        if not ended or reported or await self._end_was_requested():
            return 0
        return 128 - ended if ended < 0 else ended

    async def _end_was_requested(self) -> bool:
        """Whether the run is no longer running: it was cancelled or rescheduled."""
        state = await _state_of(self._flow_run.id)
        return state is not None and not (state.is_running() or state.is_pending())


async def _state_of(run_id: UUID) -> State | None:
    """The state of a run; None if Prefect does not answer."""
    state: State | None = None
    # On any error, the exit code must show that the process died.
    with only_warned(_log, "run state not read from Prefect"), anyio.fail_after(_PATIENCE):
        async with get_client() as client:
            state = (await client.read_flow_run(run_id)).state
    return state


async def _end_cancelling(run_id: UUID) -> None:
    """Mark a run as cancelled if it ended while it was being cancelled.

    If a task is stopped at that moment, Prefect's command only tries to reschedule the run. The
    server refuses that, and the run would stay in this state until the server's limit of 300 s.
    """
    state = await _state_of(run_id)
    if state is None or not state.is_cancelling():
        return
    ended: State = Cancelled(message="The flow's process has ended.")
    # On an error the server sets this state later, and the task did not fail.
    with only_warned(_log, "run not marked as cancelled"), anyio.fail_after(_PATIENCE):
        async with get_client() as client:
            await client.set_flow_run_state(run_id, ended, force=True)


class _Starter(EngineCommandStarter):
    """Prefect's starter of the flow's process, without a workspace: the code is in the image."""

    def __init__(self, *, control_channel: ControlChannel, **_workspace: object) -> None:
        super().__init__(
            control_channel=control_channel, isolate_process_group=True, env_overrides_settings=True
        )
        self.hook_runner = HookRunner(resolve_flow=_load_flow)

    def close(self) -> None:
        """Do nothing: Prefect's own starter removes its workspace here."""


async def _load_flow(run: FlowRun) -> Flow[Any, Any]:
    async with get_client() as client:
        # arg-type: its decorator, which injects a client, hides its parameters.
        return await load_flow_from_flow_run(client, run, use_placeholder_flow=False)  # type: ignore[arg-type]


async def _run_forked(
    engine: EngineProcess,
    *,
    env: Mapping[str, str],
    task_status: anyio.abc.TaskStatus[ProcessHandle],
    task_status_handler: Callable[[EngineProcess], ProcessHandle],
    **_new_interpreter: object,
) -> None:
    """Prefect's `run_process`, for a process that already exists."""
    engine.begin(env)
    task_status.started(task_status_handler(engine))
    await engine.wait()


def main() -> None:
    """Execute the flow run in `PREFECT__FLOW_RUN_ID`, and exit with the code of its process."""
    engine = fork_engine()
    if engine is None:
        return
    # Prefect has no settings for these; its version is pinned, and tests/contract tests each.
    _flow_run_executor.ControlChannel = partial(ControlChannel, ack_timeout=_ACKNOWLEDGE_SECONDS)  # type: ignore[assignment, attr-defined]
    _flow_run_executor.FlowRunExecutor = _Executor  # type: ignore[misc]
    flow_run.WorkspaceResolvingEngineCommandStarter = _Starter  # type: ignore[assignment, attr-defined]
    _starter_engine.run_process = partial(_run_forked, engine)  # type: ignore[assignment, attr-defined]
    sys.argv[1:] = ["flow-run", "execute"]
    try:
        app()
    except SystemExit as end:
        if end.code:
            raise
    anyio.run(_end_cancelling, UUID(os.environ["PREFECT__FLOW_RUN_ID"]))
    sys.exit(_Executor.exit_code)


if __name__ == "__main__":
    main()

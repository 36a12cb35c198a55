"""The first process of a task: `prefect flow-run execute`, and an exit code that says how the run ended.

Prefect's command runs the flow in a process of its own, calls the run crashed if
that dies, and exits with 0 whatever became of it. Out of memory, Linux kills the
largest process, which is the flow's: ECS would hear of a task that ended well.
So a task ends here as its flow's process did, and whoever watches ECS, not
Prefect, learns of it: the worker's observer, the trigger's next size, the alerts.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import ClassVar

import anyio
import anyio.abc
from prefect.cli import app
from prefect.client.orchestration import get_client
from prefect.logging import get_logger
from prefect.runner import _flow_run_executor
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutor
from prefect.runner._process_manager import ProcessHandle

KILLED = 128 + signal.SIGKILL
# Seconds that the flow's process has to hear of a stop before it is killed instead; ECS
# gives a task thirty. Prefect grants it one, and C code may hold Python for longer.
_HEARING = 10.0
# Seconds that Prefect has to say whether somebody asked for the end.
_PATIENCE = 10.0


class _TellingExecutor(FlowRunExecutor):
    """Prefect's, which also keeps how the flow's process ended.

    Attributes:
        exit_code: of the task; 0 where the flow reported its own end, or was told to end.
    """

    exit_code: ClassVar[int] = 0

    async def _start_process(
        self, outer_task_status: anyio.abc.TaskStatus[ProcessHandle]
    ) -> ProcessHandle:
        # What can't be started is a run that crashed.
        _TellingExecutor.exit_code = 1
        try:
            handle = await super()._start_process(outer_task_status)
            _TellingExecutor.exit_code = await self._exit_code(handle.returncode or 0)
        except anyio.get_cancelled_exc_class():
            # After SIGTERM, when Prefect has given the run its next state.
            _TellingExecutor.exit_code = 0
            raise
        if _TellingExecutor.exit_code == KILLED:
            # At once, as if the kernel had taken this process too: who calls the run
            # crashed is the observer, and the trigger waits for it (larger_task.py).
            get_logger("flows.execute_run").error("the flow's process was killed: out of memory?")
            os._exit(KILLED)
        return handle

    async def _exit_code(self, ended: int) -> int:
        reported = self._get_attempt_conclusion(self._flow_run.id) is not None
        if not ended or reported or await self._was_told_to_end():
            return 0
        return 128 - ended if ended < 0 else ended

    async def _was_told_to_end(self) -> bool:
        """Whether the run is no longer under way: cancelled, or scheduled again."""
        try:
            with anyio.fail_after(_PATIENCE):
                async with get_client() as client:
                    state = (await client.read_flow_run(self._flow_run.id)).state
        except Exception as error:  # noqa: BLE001 - whatever it is, a death is told of all the same
            get_logger("flows.execute_run").warning("Prefect does not say: %r", error)
            return False
        return state is not None and not (state.is_running() or state.is_pending())


def main() -> None:
    """Execute the flow run that `PREFECT__FLOW_RUN_ID` names, and exit as its process ended."""
    _flow_run_executor.ControlChannel = partial(ControlChannel, ack_timeout=_HEARING)  # type: ignore[assignment, attr-defined]  # Prefect offers no setting
    _flow_run_executor.FlowRunExecutor = _TellingExecutor  # type: ignore[misc]  # Prefect drops what it returns
    sys.argv[1:] = ["flow-run", "execute"]
    try:
        app()
    except SystemExit as end:
        if end.code:
            raise
    sys.exit(_TellingExecutor.exit_code)


if __name__ == "__main__":
    main()

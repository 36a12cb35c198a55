"""Handles Python's MemoryError like a process that Linux kills because memory ran out.

Both end in the same state, so that both are retried on a larger task.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.runtime import deployment
from prefect.states import Crashed


def end_out_of_memory(error: MemoryError) -> State[Any]:
    """End this process as Linux would, if it belongs to the run alone; else return Crashed.

    `flows.runs.execute_run` then exits with 137, and the trigger starts the run again on the
    next larger size.
    """
    if deployment.get_id() is not None:
        get_run_logger().error("out of memory: %s", error)
        logging.shutdown()
        os.kill(os.getpid(), signal.SIGKILL)
    return out_of_memory(error)


def out_of_memory(error: MemoryError) -> State[Any]:
    """Return Crashed, Prefect's state for a run whose process was killed."""
    # A plain MemoryError, because the reader of the state may not have a subclass's module.
    plain = MemoryError(str(error))
    return Crashed(message=f"out of memory: {error or 'MemoryError'}", data=plain)

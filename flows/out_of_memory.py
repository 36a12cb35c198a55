"""Python's MemoryError is want of memory as much as a process that Linux kills for it.

It has the same end, so that the same remedy follows: the run on a larger task.
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


def ended_for_memory(error: MemoryError) -> State[Any]:
    """End this process as Linux would have, where it is the run's own; else return Crashed.

    `flows.execute_run` ends the task with 137 then, and the trigger starts the
    run once more on the larger size.
    """
    if deployment.get_id() is not None:
        get_run_logger().error("out of memory: %s", error)
        logging.shutdown()
        os.kill(os.getpid(), signal.SIGKILL)
    return out_of_memory(error)


def out_of_memory(error: MemoryError) -> State[Any]:
    """Return Crashed, as Prefect calls a run whose process was killed."""
    # Another class of it may need what the process that reads the state lacks.
    plain = MemoryError(str(error))
    return Crashed(message=f"out of memory: {error or 'MemoryError'}", data=plain)

"""A run that hangs is ended: it is TimedOut after far longer than its bytes may take.

Prefect's own `timeout_seconds` is one number for files of a kilobyte and of
twenty gigabytes, and raises an exception in the main thread, which waits for the
others to end: a thread that hangs keeps it. So a thread that does nothing else
tells Prefect, and then the process goes, as one that was killed would.
"""

from __future__ import annotations

import contextvars
import faulthandler
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.logging import get_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Failed

from flows.failure_hooks import report_failure
from flows.failure_report import TIMED_OUT
from flows.request import ConversionRequest

# For a start, all retries and a store that is slow for a while.
BASE = timedelta(hours=1)
# For each further file of a batch.
A_FILE = timedelta(minutes=10)
# Less than a tenth of the slowest conversion that was measured (docs/architecture.md has the figures).
BYTES_A_SECOND = 500_000
# Taken where a source does not say its size: the largest that the stack's own rules let in.
ASSUMED_BYTES = 20_000_000_000


def time_limit(sizes: Sequence[int | None]) -> timedelta:
    """Return how long a run of these files may take; a size that is not known is None."""
    sure = sum(ASSUMED_BYTES if size is None else size for size in sizes)
    return BASE + A_FILE * (len(sizes) - 1) + timedelta(seconds=sure // BYTES_A_SECOND)


def source_bytes(request: ConversionRequest) -> int | None:
    """Return the size of a raw file as its store says it now; None where it does not."""
    from flows.source import current_source  # noqa: PLC0415 - the run itself starts without boto3

    try:
        found = current_source(request.source, dict(request.input_storage_options))
    # BLE001: whatever is wrong with a file, its conversion finds and names it.
    except Exception:  # noqa: BLE001
        return None
    return None if found is None else found.size


@contextmanager
def ended_in_time(flow: Flow[..., Any], limit: timedelta) -> Iterator[None]:
    """End this run and its process if the block takes longer than `limit`.

    Only where the process is the run's own: one that a person called the flow in
    is theirs to interrupt.
    """
    if deployment.get_id() is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        if not over.wait(limit.total_seconds()):
            _end(flow, limit)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(watch,), name="time-limit", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _end(flow: Flow[..., Any], limit: timedelta) -> None:
    """Tell Prefect and people, say where every thread is, and leave; return where the run has ended."""
    # What the log keeps of a hang: nobody can look at the process once it is gone.
    faulthandler.dump_traceback(sys.stderr, all_threads=True)
    code = 1
    try:
        state: State[Any] = Failed(
            name=TIMED_OUT,
            message=f"ended after {limit}, the limit for its bytes; the task's log says where it hung",
        )
        with get_client(sync_client=True) as client:
            run_id = flow_run.get_id()
            answer = client.set_flow_run_state(run_id, state)  # type: ignore[arg-type]  # a text is as good
            if answer.status is not SetStateStatus.ACCEPT:
                return
            report_failure(flow, client.read_flow_run(run_id), state)  # type: ignore[arg-type]  # likewise
        code = 0
    # BLE001: a run that can't be told of ends all the same, and Prefect's runner calls it crashed.
    except Exception as error:  # noqa: BLE001
        get_logger("flows.time_limit").error("Prefect was not told of the time limit: %r", error)
    os._exit(code)

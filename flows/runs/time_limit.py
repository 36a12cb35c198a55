"""Ends a run that hangs: it is TimedOut after far longer than its size should take.

Prefect's own `timeout_seconds` is one number for files of a kilobyte and of twenty
gigabytes. It raises an exception in the main thread, which then waits for the other
threads, also for one that hangs. So a separate thread sets the run's state in Prefect
and then kills the process.
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

from flows.core.run_ends import TimedOut
from flows.runs.failure_hooks import report_failure
from flows.stores.request import ConversionRequest

# For the start-up, all retries, and a store that is slow for a while.
BASE = timedelta(hours=1)
# For each further file of a batch.
A_FILE = timedelta(minutes=10)
# Less than a tenth of the speed of the slowest measured conversion (docs/benchmarks.md has the
# figures).
BYTES_A_SECOND = 500_000
# Used for a source of unknown size: the largest size that the stack's default rules allow.
ASSUMED_BYTES = 20_000_000_000


def time_limit(sizes: Sequence[int | None]) -> timedelta:
    """Return how long a run of these files may take; an unknown size is None."""
    sure = sum(ASSUMED_BYTES if size is None else size for size in sizes)
    return BASE + A_FILE * (len(sizes) - 1) + timedelta(seconds=sure // BYTES_A_SECOND)


def source_bytes(request: ConversionRequest) -> int | None:
    """Return the current size of a raw file; None if unknown."""
    from flows.stores.sources import current_source  # noqa: PLC0415 - the run itself does not need boto3

    try:
        found = current_source(request.source, request.input_storage_options)
    # BLE001: the conversion finds and names any problem of the file.
    except Exception:  # noqa: BLE001
        return None
    return None if found is None else found.size


@contextmanager
def time_limited(flow: Flow[..., Any], limit: timedelta) -> Iterator[None]:
    """End this run and its process if the block takes longer than `limit`.

    This applies only to the run's own process. A person who calls the flow directly can
    interrupt it.
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
    """Set the state, send alerts, log all stacks, kill the process; return if the run has ended."""
    # The stacks of all threads go to the log, because the process cannot be inspected later.
    faulthandler.dump_traceback(sys.stderr, all_threads=True)
    code = 1
    try:
        state: State[Any] = Failed(
            name=TimedOut.outcome,
            message=f"ended after {limit}, the limit for its size; the task's log shows where",
        )
        with get_client(sync_client=True) as client:
            run_id = flow_run.get_id()
            answer = client.set_flow_run_state(run_id, state)  # type: ignore[arg-type]  # a string works too
            if answer.status is not SetStateStatus.ACCEPT:
                return
            report_failure(flow, client.read_flow_run(run_id), state)  # type: ignore[arg-type]  # likewise
        code = 0
    # BLE001: the run ends even if this fails, and Prefect's runner marks it as crashed.
    except Exception as error:  # noqa: BLE001
        get_logger("flows.runs.time_limit").error("TimedOut state not set in Prefect: %r", error)
    os._exit(code)

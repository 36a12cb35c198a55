"""Makes products in a child process, so that whatever happens there, the parent goes on.

The child has a time limit for each output, and none of Prefect's settings, so it cannot
change a run. If it fails, hangs or is killed, that output's record says so, and another
child makes the products of the remaining outputs.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from flows.core.locations import PRODUCTS_SUFFIX
from flows.products.jobs.failed_record import record_failure
from flows.products.jobs.product_jobs import JobResult, ProductJob

_COMMAND = (sys.executable, "-m", f"{__package__}.child")
_ROOT = Path(__file__).resolve().parents[3]
# Seconds in which the child cleans up before it is killed.
_GRACE_SECONDS = 5.0

_log = logging.getLogger(__name__)


def make_in_child(
    jobs: Sequence[ProductJob], *, limit: timedelta | None = None
) -> Generator[JobResult]:
    """Make the products of these outputs one after another; yield a result for each, in order.

    A failure is in the result and in the output's record, and is not raised. If the
    generator is closed, the child ends.

    Args:
        jobs: the outputs.
        limit: replaces each job's own time limit.
    """
    left = list(jobs)
    while left:
        for result in _in_one_child(tuple(left), limit):
            yield _recorded(left.pop(0), result)


def _in_one_child(jobs: Sequence[ProductJob], limit: timedelta | None) -> Iterator[JobResult]:
    """Yield results until the child has made all, or has ended; the last is then a failure."""
    try:
        # Its own session: an interrupt at the terminal reaches the parent alone.
        child = subprocess.Popen(  # noqa: S603 - the project's own command
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        why = f"its process did not start: {error}"
        yield JobResult(jobs[0].output, "failed", {"products": {}}, why)
        return
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(child, lines), daemon=True).start()
    try:
        _write(child, jobs)
        for job in jobs:
            result = _next_result(child, lines, job, limit or job.limit)
            yield result
            if not result.was_reported:
                return
    finally:
        _end(child)


def _next_result(
    child: subprocess.Popen[str],
    lines: queue.SimpleQueue[str | None],
    job: ProductJob,
    limit: timedelta,
) -> JobResult:
    made: dict[str, Any] = {}
    until = time.monotonic() + limit.total_seconds()
    while True:
        try:
            line = lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            error = f"TimedOut: not made within {limit}"
            return JobResult(job.output, "failed", {"products": made}, error)
        if line is None:
            error = _how_it_ended(child.wait())
            return JobResult(job.output, "failed", {"products": made}, error)
        fields = json.loads(line)
        if "product" not in fields:
            return JobResult(**fields)
        made[fields["product"]] = fields["entry"]


def _environment() -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT")}
    path = [str(_ROOT), inherited.get("PYTHONPATH", "")]
    return inherited | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def _write(child: subprocess.Popen[str], jobs: Sequence[ProductJob]) -> None:
    assert child.stdin is not None  # noqa: S101 - a pipe was requested
    try:
        child.stdin.write(json.dumps([asdict(job) for job in jobs]) + "\n")
        child.stdin.flush()
    except BrokenPipeError:
        # It has ended, and its exit code says how.
        _log.debug("the process ended before it read its jobs")


def _read(child: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert child.stdout is not None  # noqa: S101 - a pipe was requested
    for line in child.stdout:
        lines.put(line)
    lines.put(None)


def _how_it_ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return "MemoryError: its process was killed, probably out of memory"
    ended = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"its process ended {ended}; the log has the reason"


def _end(child: subprocess.Popen[str]) -> None:
    """End the child; it has some seconds to remove its temporary files."""
    child.terminate()
    try:
        child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    finally:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _recorded(job: ProductJob, result: JobResult) -> JobResult:
    """Write the record of a failure that ended the child, so that it could not do so itself."""
    if result.state != "failed" or result.was_reported:
        return result
    try:
        record = record_failure(job, result.error, result.record["products"])
    # BLE001: the failure itself is reported.
    except Exception as error:  # noqa: BLE001
        _log.warning("%s%s not written: %r", job.output, PRODUCTS_SUFFIX, error)
        return replace(result, record={})
    if record is None:
        return JobResult(job.output, "incomplete")
    return JobResult(job.output, "failed", record, result.error)

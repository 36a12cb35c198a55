"""Makes products in a child process, so that whatever happens there, the parent goes on.

The child has a time limit for each output, and none of Prefect's settings, so it cannot
change a run. If it fails, hangs or is killed, that output's record says so, and another
child makes the products of the remaining outputs.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from flows.core.child_module import command_of, environment_for
from flows.core.locations import PRODUCTS_SUFFIX
from flows.products.jobs.failed_record import record_failure
from flows.products.jobs.product_jobs import JobResult, ProductJob, time_limit

_COMMAND = command_of(f"{__package__}.child")
# Seconds in which the child cleans up before it is killed.
_GRACE_SECONDS = 5.0

_log = logging.getLogger(__name__)


def make_in_child(
    jobs: Sequence[ProductJob], *, limit: timedelta | None = None, total: timedelta | None = None
) -> Generator[JobResult]:
    """Make the products of these outputs one after another; yield a result for each, in order.

    A failure is in the result and in the output's record, and is not raised. If the
    generator is closed, the child ends.

    Args:
        jobs: the outputs.
        limit: replaces the time limit of each output, which depends on its size.
        total: when it is over, the output in work fails and the others have no result.
    """
    left = list(jobs)
    ends = math.inf if total is None else time.monotonic() + total.total_seconds()
    while left and time.monotonic() < ends:
        for result in _in_one_child(tuple(left), limit, ends):
            yield _recorded(left.pop(0), result)


def _in_one_child(
    jobs: Sequence[ProductJob], limit: timedelta | None, ends: float
) -> Iterator[JobResult]:
    """Yield results until the child has made all, has ended, or time is over."""
    with ExitStack() as resources:
        try:
            # A child that is killed leaves its temporary files there.
            scratch = resources.enter_context(
                tempfile.TemporaryDirectory(prefix="echodrop-products-", ignore_cleanup_errors=True)
            )
            # Its own session: an interrupt at the terminal reaches the parent alone.
            child = subprocess.Popen(  # noqa: S603 - the project's own command
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment() | {"TMPDIR": scratch},
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            yield _ended(jobs[0], f"its process did not start: {error}")
            return
        resources.callback(_end, child)
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # A child may read its jobs late or never, and a pipe has little room.
        for work, *more in ((_read, lines), (_write, jobs)):
            threading.Thread(target=work, args=(child, *more), daemon=True).start()
        for job in jobs:
            if time.monotonic() >= ends:
                return
            result = _next_result(child, lines, job, limit, ends)
            if not result.was_reported:
                # It must not write any more when its record is written.
                _end(child)
            yield result
            if not result.was_reported:
                return


def _next_result(
    child: subprocess.Popen[str],
    lines: queue.SimpleQueue[str | None],
    job: ProductJob,
    limit: timedelta | None,
    ends: float,
) -> JobResult:
    known: dict[str, Any] = {"products": {}}
    begun = time.monotonic()
    allowed = time_limit(0) if limit is None else limit
    while True:
        until = min(begun + allowed.total_seconds(), ends)
        try:
            line = lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            seconds = timedelta(seconds=round(time.monotonic() - begun))
            return _ended(job, f"TimedOut: not made within {seconds}", known)
        if line is None:
            return _ended(job, _how_it_ended(child), known)
        try:
            fields = json.loads(line)
        except ValueError:
            # Cut off, as the child ended: the next line is None.
            continue
        if "output_sha256" in fields:
            known["output_sha256"] = fields["output_sha256"]
            allowed = time_limit(fields["source_bytes"]) if limit is None else limit
        elif "product" in fields:
            known["products"][fields["product"]] = fields["entry"]
        else:
            return JobResult(**fields)


def _ended(job: ProductJob, error: str, known: Mapping[str, Any] | None = None) -> JobResult:
    return JobResult(job.output, "failed", known or {"products": {}}, error)


def _environment() -> dict[str, str]:
    return environment_for(
        {name: text for name, text in os.environ.items() if not name.startswith("PREFECT")}
    )


def _write(child: subprocess.Popen[str], jobs: Sequence[ProductJob]) -> None:
    assert child.stdin is not None  # noqa: S101 - a pipe was requested
    # If it has ended, its exit code says how.
    with suppress(OSError, ValueError):
        child.stdin.write(json.dumps([asdict(job) for job in jobs]) + "\n")
        child.stdin.flush()


def _read(child: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert child.stdout is not None  # noqa: S101 - a pipe was requested
    try:
        with child.stdout:
            for line in child.stdout:
                lines.put(line)
    finally:
        lines.put(None)


def _how_it_ended(child: subprocess.Popen[str]) -> str:
    try:
        code = child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return "its process closed its output, and did not end"
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
    assert child.stdin is not None  # noqa: S101 - a pipe was requested
    # What it did not read is still in the buffer, and cannot be written any more.
    with suppress(OSError):
        child.stdin.close()


def _recorded(job: ProductJob, result: JobResult) -> JobResult:
    """Write the record of a failure that ended the child, so that it could not do so itself."""
    if result.state != "failed" or result.was_reported:
        return result
    try:
        record = record_failure(job, result.error, **result.record)
    # BLE001: the failure itself is reported.
    except Exception as error:  # noqa: BLE001
        _log.warning("%s%s not written: %r", job.output, PRODUCTS_SUFFIX, error)
        return replace(result, record={})
    if record is None:
        return JobResult(job.output, "incomplete")
    return JobResult(job.output, "failed", record, result.error)

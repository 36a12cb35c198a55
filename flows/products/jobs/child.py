"""The child process that makes products: `python -m flows.products.jobs.child`.

Its parent (flows/products/jobs/in_child.py) writes the jobs to standard input, as one line of
JSON, and keeps it open: when it closes, the parent has ended, and so does the child. For
each job the child writes lines of JSON to standard output: from which output it draws, then
one for each product, then the result.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from flows.core.hold_memory import hold_memory
from flows.core.locations import MANIFEST_SUFFIX, PRODUCTS_SUFFIX
from flows.core.termination import stopped_by_signals
from flows.products.jobs.product_jobs import JobResult, ProductJob, is_current

# Seconds to clean up before the process ends in any case.
_GRACE_SECONDS = 5.0
# proc(5): the kernel kills the process with the highest score first if memory runs out.
_OOM_SCORE = Path("/proc/self/oom_score_adj")

_log = logging.getLogger(__name__)


def make_one(job: ProductJob, report: Callable[[dict[str, Any]], None]) -> JobResult:
    """Make the products of one output, unless they are current; `report` gets each line before the result."""
    # PLC0415: the parent reads this module's protocol without them.
    from flows.products.jobs.failed_record import record_failure  # noqa: PLC0415
    from flows.products.make import OutputIncompleteError, make_products  # noqa: PLC0415
    from flows.products.product_files import OutputReplacedError, product_files  # noqa: PLC0415
    from flows.publishing.manifest import read_manifest  # noqa: PLC0415

    files = product_files(job.output, job.storage_options)
    body = files.read(MANIFEST_SUFFIX)
    if body is None:
        return JobResult(job.output, "incomplete")
    manifest = read_manifest(body, job.output + MANIFEST_SUFFIX)
    sha256 = manifest["output"]["sha256"]
    if not job.force:
        before = files.read(PRODUCTS_SUFFIX)
        if before is not None and is_current(before, sha256):
            return JobResult(job.output, "current", json.loads(before))
    report({"output_sha256": sha256, "source_bytes": manifest["source"]["bytes"]})
    try:
        record = make_products(
            job.output,
            job.storage_options,
            on_end=lambda name, entry: report({"product": name, "entry": entry}),
        )
    except (OutputIncompleteError, OutputReplacedError):
        # The run that replaces it makes its products.
        return JobResult(job.output, "incomplete")
    # BLE001: whatever it is, the record says it.
    except Exception as error:  # noqa: BLE001
        _log.warning("%s: products not made", job.output, exc_info=True)
        cause = f"{type(error).__name__}: {error}"
        record = record_failure(job, cause, output_sha256=sha256) or {}
        return JobResult(job.output, "failed", record, cause)
    return JobResult.of_record(job.output, record)


def _end_with_parent(lines: TextIO) -> None:
    # Nothing more is written to it, so this returns at its end.
    lines.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def main() -> None:
    """Make the products of each job."""
    # The run's process must survive if memory runs out, and this one is the largest then.
    with suppress(OSError):
        _OOM_SCORE.write_text("1000")
    hold_memory()
    # What a library prints must not look like a result.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def write(line: str) -> None:
        results.write(line + "\n")
        results.flush()

    jobs = [ProductJob(**fields) for fields in json.loads(sys.stdin.readline())]
    threading.Thread(target=_end_with_parent, args=(sys.stdin,), daemon=True).start()
    with stopped_by_signals():
        for job in jobs:
            try:
                result = make_one(job, lambda fields: write(json.dumps(fields)))
            # BLE001: the other outputs are independent. The store failed, so nothing is recorded.
            except Exception as error:  # noqa: BLE001
                cause = f"{type(error).__name__}: {error}"
                result = JobResult(job.output, "failed", error=cause)
            write(replace(result, was_reported=True).as_line())


if __name__ == "__main__":
    main()

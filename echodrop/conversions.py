"""Converts files one after another, or several at the same time in processes of their own."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from echodrop import Conversion
from echodrop.requests import converted, requested
from flows.core.outcomes import BadFile, ConversionFailure, InvalidParameters, TransientFault
from flows.core.public_uri import public_text, public_uri
from flows.core.run_ends import Outcome
from flows.runs.task_resources import task_resources, worker_count
from sonar_models import models_by_extension
from task_sizes import peak_bytes

#: Exit codes of `echodrop convert` and `echodrop check`, for scripts; the later the worse.
DONE, TRANSIENT, FAILED, USAGE = 0, 3, 1, 2
WORST = (DONE, TRANSIENT, FAILED, USAGE)

# What to do at a terminal; the outcomes' own remedies are for the inbox's operator.
REMEDIES = {
    "BadFile": "get an intact copy, or convert the intact part: --allow-partial",
    "WrongModel": "leave --model out, or give the file's model",
    "MissingSidecar": "give the settings XML of the deployment: --xml FILE",
    "BadSidecar": "get an intact copy, or convert without the damaged data: --allow-partial",
    "UnsupportedDatagram": "convert without the datagram, if the message allows it: --allow-partial",
    "OutputConflict": "choose another output, or replace it: --overwrite",
    "SourceChanged": "convert the file again when nothing writes to it",
    "OutputMismatch": "convert the file again; if it fails again, report a bug",
    "AccessDenied": "check the name, your permissions, and for S3 your credentials and region "
    "(a public bucket: --anon); `echodrop doctor` shows them",
    "Archived": "restore the object from its archive tier: aws s3api restore-object",
    "DiskFault": "choose a folder that can be written to, or free space there and in TMPDIR",
    "OutOfMemory": "use a machine with more memory, or fewer files at a time: --jobs 1",
    "Defect": "convert the file alone, and report a bug with what is printed",
    "Crashed": "convert the file alone, on a machine with more memory",
}


@dataclass(frozen=True)
class Job:
    """One file to convert: the arguments of `echodrop.requests.requested`, and its size in bytes."""

    raw: str
    out: str
    fields: dict[str, Any] = field(default_factory=dict)
    size: int | None = None


@dataclass(frozen=True)
class Ended:
    """What became of one file.

    Attributes:
        outcome: `published`, `partial`, `skipped`, or the name of a failure.
    """

    raw: str
    outcome: str
    conversion: Conversion | None = None
    message: str = ""
    remedy: str = ""
    code: int = DONE


def run(job: Job, progress: Callable[[str, float], None] | None = None) -> Ended:
    """Convert one file; a failure is a result, too. A defect of echodrop raises."""
    try:
        done = converted(requested(job.raw, job.out, **job.fields), progress)
    except (ConversionFailure, TransientFault) as failure:
        return failed(job.raw, failure)
    except MemoryError as error:
        return _broken(job.raw, "OutOfMemory", str(error) or "the memory is full")
    outcome = "partial" if done.partial else "skipped" if done.skipped else "published"
    return Ended(public_uri(job.raw), outcome, done)


def failed(raw: str, failure: Outcome) -> Ended:
    """The end of a file by a failure."""
    raw = public_uri(raw)
    code = TRANSIENT if isinstance(failure, TransientFault) else FAILED
    if isinstance(failure, InvalidParameters):
        code = USAGE
    return Ended(raw, failure.outcome, None, str(failure), remedy_of(failure), code)


def _broken(raw: str, outcome: str, cause: str) -> Ended:
    """The end of a file whose conversion has no named outcome."""
    raw, message = public_uri(raw), public_text(f"{raw}: {cause}")
    return Ended(raw, outcome, None, message, REMEDIES[outcome], FAILED)


def remedy_of(failure: Outcome) -> str:
    """What to do about a failure; empty if its sentence says all."""
    if isinstance(failure, BadFile) and not failure.last_good_byte:
        # There is no intact part.
        return ""
    return REMEDIES.get(failure.outcome, "")


def processes_for(jobs: Sequence[Job]) -> int:
    """How many files are converted at the same time: by processors, and by the memory they take.

    It is one if a size is unknown.
    """

    def peak(job: Job, size: int) -> int:
        return max(peak_bytes(model, size) for model in models_by_extension(job.raw) or {"EK60"})

    peaks = [peak(job, job.size) for job in jobs if job.size is not None]
    return worker_count(peaks, task_resources()) if len(peaks) == len(jobs) else 1


def run_all(jobs: Sequence[Job], at_once: int, show: Callable[[Ended], None]) -> list[Ended]:
    """Convert the files, `at_once` at the same time; `show` is called as each ends.

    A process that dies (out of memory) fails its own file alone. On an interrupt or a signal the
    conversions under way clean up, and the exception goes on.
    """
    todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Ended | None] = queue.SimpleQueue()
    for job in jobs:
        todo.put(job)
    stop = threading.Event()
    lanes = [threading.Thread(target=_lane, args=(todo, ended, stop)) for _ in range(at_once)]
    for lane in lanes:
        lane.start()
    results: list[Ended] = []
    try:
        running = len(lanes)
        while running:
            if (each := ended.get()) is None:
                running -= 1
            else:
                results.append(each)
                show(each)
    finally:
        stop.set()
        if len(results) < len(jobs):
            _end_children(lanes)
    return results


def _end_children(lanes: Sequence[threading.Thread]) -> None:
    """End each child by one SIGTERM; a second one would interrupt its clean-up."""
    asked: set[int | None] = set()
    while any(lane.is_alive() for lane in lanes):
        for child in multiprocessing.active_children():
            if child.pid not in asked:
                asked.add(child.pid)
                child.terminate()
        time.sleep(0.1)


def _lane(
    todo: queue.SimpleQueue[Job], ended: queue.SimpleQueue[Ended | None], stop: threading.Event
) -> None:
    """Convert files in one process, which is replaced if it dies."""
    pool: ProcessPoolExecutor | None = None
    try:
        while not stop.is_set():
            try:
                job = todo.get_nowait()
            except queue.Empty:
                return
            if pool is None:
                # Not forked: this process has threads.
                context = multiprocessing.get_context("spawn")
                pool = ProcessPoolExecutor(1, mp_context=context, initializer=_ignore_interrupts)
            try:
                ended.put(pool.submit(run, job).result())
            except (BrokenProcessPool, SystemExit):
                pool.shutdown()
                pool = None
                if not stop.is_set():
                    cause = "its process died, probably out of memory"
                    ended.put(_broken(job.raw, "Crashed", cause))
            except Exception as error:  # noqa: BLE001 - one file's defect does not end the others
                ended.put(_broken(job.raw, "Defect", f"{type(error).__name__}: {error}"))
    finally:
        if pool is not None:
            pool.shutdown()
        ended.put(None)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the parent ends its children by SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

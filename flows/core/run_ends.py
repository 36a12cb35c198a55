"""What follows from the name of a run's end: one truth for reports, alerts and retries.

Those with exceptions of their own are in `flows.core.outcomes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

# Prefect's own name of a failed state: its UI and CLI filter by it, so every failed run has it.
FAILED = "Failed"
# The tag of a failed run that names its outcome; the watchdog has its own copy.
OUTCOME_TAG = "outcome:"


def outcome_of(state_name: str, tags: Iterable[str]) -> str:
    """The outcome of a failed run, by its tag; of any other run the name of its state.

    In earlier releases a failed state had the outcome as its name.
    """
    named = (tag.removeprefix(OUTCOME_TAG) for tag in tags if tag.startswith(OUTCOME_TAG))
    return next(named, state_name) if state_name == FAILED else state_name


class RunEnd:
    """What follows from the name of a run's end.

    Attributes:
        of_the_file: the file or its uploader is at fault; the file goes into quarantine.
        is_retryable: the same bytes and settings may succeed later: it is retried.
        pages: it wakes the person on call.
        remedy: what to do; empty if no file is reported under this name.
    """

    outcome: ClassVar[str]
    of_the_file: ClassVar[bool] = False
    is_retryable: ClassVar[bool] = True
    converts_partly: ClassVar[bool] = False
    pages: ClassVar[bool] = True
    remedy: ClassVar[str] = ""
    reported: ClassVar[dict[str, type[RunEnd]]] = {}

    def __init_subclass__(cls) -> None:
        cls.outcome = cls.__name__
        if cls.remedy:
            cls.reported[cls.outcome] = cls


class Defect(RunEnd):
    """An exception that is not an outcome."""

    remedy = "read the run's log and report a bug"


class Crashed(RunEnd):
    """The run's task died."""

    remedy = "exit code 137 means out of memory: the run is retried on a larger task; else replay"


class TimedOut(RunEnd):
    """The run took far longer than its size should."""

    remedy = "replay it; if it hangs again, the end of the task's log shows where: report a bug"


class Outcome(RunEnd, Exception):  # noqa: N818 - an outcome has its own name
    """Base class of all outcomes: a sentence for people, attributes for machines.

    Most are dataclasses, whose fields fill the places of `sentence`. `preflight` is set on
    a failure after the walk over the datagrams: the result of the walk as JSON values.
    """

    sentence: ClassVar[str]
    preflight: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__init__(self.sentence.format_map(vars(self)))

    def facts(self) -> dict[str, Any]:
        """The attributes as JSON values, with `outcome` and `message`."""
        attributes = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }
        return {"outcome": self.outcome, "message": str(self), **attributes}

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which has the sentence and not the constructor's
        # arguments, so it fails in a Dask worker's reply.
        return Exception.__new__, (type(self), str(self)), dict(vars(self))

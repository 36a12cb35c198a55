"""Ends a failed run so that people find it: state Failed, outcome in a tag, one line in the log.

docs/decisions/failed-by-tag.md gives the reasons.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run, task_run
from prefect.states import Failed

from flows.core.only_warned import only_warned
from flows.core.outcomes import PartlyFailed, TransientFault
from flows.core.run_ends import OUTCOME_TAG, Outcome, RunEnd
from flows.failures.failure_report import replay_command
from flows.runs.run_states import RETRIES

# The tag of a batch for each outcome of its failed files: `files:BadFile:3`. The watchdog counts them.
FILES_TAG = "files:"


def failed_run(failure: Outcome, raw_file: object = None) -> State[Any]:
    """Tag and log a run that ends with this outcome, and return its state."""
    log_failure(failure, raw_file)
    tag_run(*outcome_tags(failure))
    return failed_state(failure)


def outcome_tags(failure: Outcome) -> list[str]:
    """The tag with the outcome, and for a batch one for each outcome of its failed files."""
    files = failure.files if isinstance(failure, PartlyFailed) else []
    counts = Counter(file["outcome"] for file in files if not file["completed"])
    return [
        OUTCOME_TAG + failure.outcome,
        *(f"{FILES_TAG}{outcome}:{count}" for outcome, count in counts.items()),
    ]


def failed_state(failure: Outcome) -> State[Any]:
    """Failed, with the outcome in the message; its data is the failure."""
    return Failed(message=f"{failure.outcome}: {failure}", data=failure)


def failed_file(failure: Outcome, raw_file: object) -> State[Any]:
    """Log the outcome of a file in a batch, and return the state of its task run.

    A transient fault is retried, and logged when it is not retried again.
    """
    if not isinstance(failure, TransientFault) or (task_run.run_count or 0) > RETRIES:
        log_failure(failure, raw_file)
    return file_state(failure)


def file_state(failure: Outcome) -> State[Any]:
    """Failed, with the outcome's name, because the tags of a task run cannot be changed."""
    return Failed(name=failure.outcome, message=str(failure), data=failure)


def log_failure(failure: Outcome, raw_file: object) -> None:
    """Log the outcome, the cause and what to do about it."""
    lines = [f"{failure.outcome}: {failure}", *what_to_do(type(failure), raw_file)]
    get_run_logger().error("%s", "\n".join(lines))


def what_to_do(failure: type[RunEnd], raw_file: object) -> list[str]:
    """The lines that name the remedy and the command to type."""
    command = replay_command(raw_file, partly=failure.converts_partly)
    lines = [f"What to do: {failure.remedy}"] if failure.remedy else []
    return [*lines, f"    {command}"] if command else lines


def forget_outcome() -> None:
    """Remove the tags of an earlier end from a run that was started again."""
    if any(_tells_an_end(tag) for tag in flow_run.tags):
        tag_run()


def tag_run(*tags: str) -> None:
    """Replace the tags that name how the run ended; an error is logged.

    Without the tag a failed run counts as one of unknown cause: it is retried and reported.
    """
    identity = flow_run.get_id()
    if identity is None:
        return
    with only_warned(get_run_logger, "tags not changed"), get_client(sync_client=True) as client:
        run = client.read_flow_run(identity)  # type: ignore[arg-type]  # a string works too
        others = [tag for tag in run.tags if not _tells_an_end(tag)]
        client.update_flow_run(run.id, tags=[*others, *tags])


def _tells_an_end(tag: str) -> bool:
    return tag.startswith((OUTCOME_TAG, FILES_TAG))


class _OncePerFailure(logging.Filter):
    """Drops Prefect's own lines about an outcome, which `log_failure` logs with its remedy.

    They are the traceback of the outcome, and the final state with its message. The traceback of any
    other exception stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.module not in {"flow_engine", "task_engine"}:
            return True
        if record.exc_info:
            # No exception: the task returned its state.
            return not isinstance(record.exc_info[1], Outcome | None)
        line = str(record.msg)
        return not line.startswith("Finished in state Failed(") and not line.endswith(
            "type=FAILED)"
        )


for _logger in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_logger).addFilter(_OncePerFailure())

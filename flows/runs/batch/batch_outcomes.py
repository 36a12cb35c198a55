"""The outcome of each file of a batch, and of the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from prefect.client.schemas import State
from prefect.exceptions import MissingResult
from prefect.states import Completed

from flows.core.outcomes import AllFailed, InvalidParameters, PartlyFailed
from flows.core.public_uri import public_uri
from flows.core.run_ends import Outcome
from flows.runs.batch.batch_entries import BatchFile
from flows.runs.failed_runs import failed_state

# A state's message is shown in a list of runs, so it names a few; the table names all.
_FAILURES_NAMED = 3


def file_outcome(file: BatchFile, state: State[Any]) -> dict[str, Any]:
    """One file's outcome as JSON values.

    `outcome` is the name of its task run's state; `facts` are those of the failure.
    """
    raw_file = file.entry.get("raw_file")
    return {
        "name": file.name,
        "raw_file": public_uri(raw_file) if isinstance(raw_file, str) else raw_file,
        "sonar_model": file.entry.get("sonar_model"),
        "output": None if isinstance(file.request, InvalidParameters) else file.request.output.uri,
        "completed": state.is_completed(),
        "outcome": state.name,
        "message": state.message,
        "facts": _facts(state),
    }


def _facts(state: State[Any]) -> dict[str, Any]:
    if state.is_completed():
        return {}
    try:
        error = state.result(raise_on_failure=False)
    except MissingResult:
        # The process died, so there are no facts.
        return {}
    return error.facts() if isinstance(error, Outcome) else {}


def batch_state(files: list[dict[str, Any]]) -> State[Any]:
    """Completed if every file is Completed or Skipped, else Failed with the outcomes."""
    counts = Counter(file["outcome"] for file in files)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    failures = [file for file in files if not file["completed"]]
    if not failures:
        return Completed(message=f"{len(files)} files: {counted}", data=files)
    named = [f"{file['name']} ({file['outcome']})" for file in failures[:_FAILURES_NAMED]]
    if len(failures) > len(named):
        named.append("...")
    message = f"{len(failures)} of {len(files)} files failed: {', '.join(named)}. In all: {counted}"
    kind = AllFailed if len(failures) == len(files) else PartlyFailed
    return failed_state(kind(message, files))


def outcome_rows(files: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows of the table in the UI; failed files come first."""
    return [
        {
            "file": file["name"],
            "outcome": file["outcome"],
            "message": file["message"] or "",
            "output": file["output"] or "",
            "raw file": str(file["raw_file"]),
        }
        for file in sorted(files, key=lambda file: bool(file["completed"]))
    ]

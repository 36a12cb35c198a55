"""The files of a batch: each entry has the parameters of `convert_raw_sonar`, and gets an outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas import State
from prefect.exceptions import MissingResult
from prefect.states import Completed
from pydantic import PositiveInt

from flows.core.locations import parse_location
from flows.core.outcomes import AllFailed, InvalidParameters, PartlyFailed
from flows.core.public_uri import public_uri
from flows.core.run_ends import Outcome
from flows.runs.batch.isolated_tasks import RunnerName
from flows.runs.failed_runs import failed_state
from flows.stores.request import ConversionRequest, Parameters

# A state's message is shown in a list of runs, so it names a few; the table names all.
_FAILURES_NAMED = 3

_OF_THE_RUN = {"owner", "run", "skip_published"}
# So many characters of the identity are in a task run's name, by which it is found.
IDENTITY_SHOWN = 12


@dataclass(frozen=True)
class BatchFile:
    """One file of a batch, with the requested conversion or the error in the entry.

    `name` is for people: the raw file's name, or its index in the list; with the identity if it has
    one, because files in two folders may have the same name.
    """

    name: str
    entry: Mapping[str, Any]
    request: ConversionRequest | InvalidParameters


class BatchParameters(Parameters):
    """The parameters of a batch."""

    files: list[Any]
    max_workers: PositiveInt | None = None
    task_runner: RunnerName


def batch_files(files: Sequence[object], run: Mapping[str, Any]) -> list[BatchFile]:
    """Check the list, and each entry in it.

    An invalid entry fails only its own file. An invalid list fails the run. `run` has `owner` and
    `run` of every ConversionRequest.

    Raises:
        InvalidParameters: the list is empty, an entry is not an object, or two entries
            have the same output, so that the run would take over its own claim.
    """
    if not files:
        raise InvalidParameters("files is empty")
    found = []
    for place, entry in enumerate(files):
        label = f"files[{place}]"
        if not isinstance(entry, Mapping):
            raise InvalidParameters(
                f"{label} is {type(entry).__name__}, not an object with the parameters of one file"
            )
        request: ConversionRequest | InvalidParameters
        try:
            request = _request(label, entry, run)
        except InvalidParameters as wrong:
            request = wrong
        found.append(BatchFile(_name(entry, label), entry, request))
    _check_outputs(found)
    return found


def _request(label: str, entry: Mapping[str, Any], run: Mapping[str, Any]) -> ConversionRequest:
    # A file that waits for an operator would block the others for days.
    if entry.get("pause_above_bytes") is not None:
        reason = "a file that may wait for an operator needs its own run"
        raise InvalidParameters(f"{label}.pause_above_bytes is not allowed in a batch: {reason}")
    if own := entry.keys() & _OF_THE_RUN:
        raise InvalidParameters(f"{label}: {min(own)}: Extra inputs are not permitted")
    try:
        request = ConversionRequest(**entry, **run)
    except InvalidParameters as error:
        raise InvalidParameters(f"{label}: {error}") from None
    # The trigger groups uploads again in other batches, so a file may come twice.
    skips = request.identity is not None and not request.forced
    return request.model_copy(update={"skip_published": skips})


def _name(entry: Mapping[str, Any], label: str) -> str:
    try:
        name = parse_location(entry["raw_file"]).name or label
    except (KeyError, ValueError, TypeError, AttributeError):
        name = label
    identity = entry.get("identity")
    return f"{name} · {identity[:IDENTITY_SHOWN]}" if isinstance(identity, str) else name


def _check_outputs(files: Sequence[BatchFile]) -> None:
    first: dict[str, int] = {}
    for place, file in enumerate(files):
        if isinstance(file.request, InvalidParameters):
            continue
        output = file.request.output.uri
        if output in first:
            raise InvalidParameters(
                f"files[{first[output]}] and files[{place}] have the same output: {output}"
            )
        first[output] = place


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

"""The files of a batch: each entry has the parameters of `convert_raw_sonar` for one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import PositiveInt

from flows.core.locations import parse_location
from flows.core.outcomes import InvalidParameters
from flows.runs.batch.batch_runners import RunnerName
from flows.stores.request import ConversionRequest, Parameters

# A file that waits for an operator would block the others for days.
_NOT_IN_A_BATCH = {"pause_above_bytes": "a file that may wait for an operator needs its own run"}

_OF_THE_RUN = {"owner", "run", "skip_published"}
# So many characters of the identity are in a task run's name, by which it is found.
IDENTITY_SHOWN = 12


@dataclass(frozen=True)
class BatchFile:
    """One file of a batch.

    Attributes:
        name: shown to people: the raw file's name, or its index in the list; with the
            identity if it has one, because files in two folders may have the same name.
        entry: the entry, unchanged.
        request: the requested conversion, or the error in the entry.
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

    An invalid entry fails only its own file. An invalid list fails the run.

    Args:
        files: the entries.
        run: `owner` and `run` of every ConversionRequest.

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
    for name, reason in _NOT_IN_A_BATCH.items():
        if entry.get(name) is not None:
            raise InvalidParameters(f"{label}.{name} is not allowed in a batch: {reason}")
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

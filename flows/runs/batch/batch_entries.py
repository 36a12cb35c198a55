"""The files of a batch: each entry has the parameters of `convert_raw_sonar` for one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.core.locations import parse_location
from flows.core.outcomes import InvalidParameters
from flows.runs.flow_parameters import checked_parameters, requested_conversion
from flows.stores.request import ConversionRequest

# A file that waits for an operator would block the others for days.
_NOT_IN_A_BATCH = {"pause_above_bytes": "a file that may wait for an operator needs its own run"}

# The parameter with the file's identity, by which a task run of a batch is found.
_IDENTITY = "identity"
# The parameter that asks for a conversion of what is published at this version.
_FORCED = "forced"
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


def batch_files(
    files: Sequence[object], run: Mapping[str, Any], one_file: Callable[..., Any]
) -> list[BatchFile]:
    """Check the list, and each entry in it.

    An invalid entry fails only its own file. An invalid list fails the run.

    Args:
        files: the entries.
        run: `owner` and `run` of every ConversionRequest.
        one_file: the flow's function for one file, whose parameters each entry has.

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
            request = _request(label, entry, run, one_file)
        except InvalidParameters as wrong:
            request = wrong
        found.append(BatchFile(_name(entry, label), entry, request))
    _check_outputs(found)
    return found


def _request(
    label: str, entry: Mapping[str, Any], run: Mapping[str, Any], one_file: Callable[..., Any]
) -> ConversionRequest:
    for name, reason in _NOT_IN_A_BATCH.items():
        if entry.get(name) is not None:
            raise InvalidParameters(f"{label}.{name} is not allowed in a batch: {reason}")
    try:
        given = checked_parameters(one_file, entry, **{_IDENTITY: str, _FORCED: bool})
        # The trigger groups uploads again in other batches, so a file may come twice.
        skips = _IDENTITY in given and not given.get(_FORCED)
        return requested_conversion(given, {**run, "skip_published": skips})
    except InvalidParameters as error:
        raise InvalidParameters(f"{label}: {error}") from None


def _name(entry: Mapping[str, Any], label: str) -> str:
    try:
        name = parse_location(entry["raw_file"]).name or label
    except (KeyError, ValueError, TypeError, AttributeError):
        name = label
    identity = entry.get(_IDENTITY)
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

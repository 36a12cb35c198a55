"""Finds the format of a file, walks over its datagrams, and decides whether it may be converted."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flows.core.outcomes import BadFile, UnsupportedDatagram, WrongModel
from flows.walk.ad2cp import Record, read_record, walk_ad2cp
from flows.walk.asl.azfp import walk_azfp
from flows.walk.asl.azfp6 import walk_azfp6
from flows.walk.simrad.summary import walk_simrad
from flows.walk.summary import FileSummary
from flows.walk.tally import Tally
from sonar_models import AD2CP, SONAR_MODELS, format_in_bytes

COPY_BLOCK = 8 << 20
_WALKS: dict[str, Callable[[int, Tally], FileSummary]] = {
    "EK60": walk_simrad,
    "EK80": walk_simrad,
    "AZFP": walk_azfp,
    "AZFP6": walk_azfp6,
    "AD2CP": walk_ad2cp,
}


def preflight(path: Path, sonar_model: str) -> FileSummary:
    """Walk over the datagrams of the raw file at `path`, declared as `sonar_model`.

    It reads headers, not samples (but see `pings_with_zero_sectors`), and returns a summary for
    any bytes. Files may be larger than 2 GB.

    Raises:
        OSError: The file cannot be read.
        ValueError: echopype does not know `sonar_model`.
    """
    model = sonar_model.upper()
    if model not in SONAR_MODELS:
        known = ", ".join(SONAR_MODELS)
        raise ValueError(f"unknown sonar model {sonar_model!r}; known models: {known}")
    declared = SONAR_MODELS[model].format
    with path.open("rb", buffering=0) as raw:
        fd = raw.fileno()
        size = os.fstat(fd).st_size
        found = _format_of(fd, size)
        walked = found or declared.name
        summary = _WALKS[walked](fd, Tally(path.name, model, walked, size))
    if size == 0:
        return replace(summary, found=None)
    # A file so short may be the beginning of the declared format.
    could_begin = size < 8 and declared.may_begin(path.read_bytes())
    if found is None and not summary.datagrams and not could_begin:
        cause = f"not an {declared.name} file: no whole datagram in its {size} bytes"
        return replace(summary, condition="not_this_format", damage=cause, found=None)
    if walked != declared.name:
        return replace(summary, condition="not_this_format")
    return summary


def _format_of(fd: int, size: int) -> str | None:
    """The format that the file's first bytes show, None if unknown."""
    found = format_in_bytes(os.pread(fd, 12, 0))
    # Two bytes are common: the record's checksum decides.
    if found is AD2CP and not isinstance(read_record(fd, size, 0), Record):
        return None
    return found.name if found else None


def decide(summary: FileSummary, sonar_model: str, allow_partial: bool = False) -> None:  # noqa: FBT001, FBT002 - the flow's parameter of the same name
    """Raise the outcome of a file that cannot be converted as this model.

    `allow_partial`: the intact part of a damaged file may be converted (see `write_whole_part`).

    Raises:
        WrongModel: The file has another format.
        BadFile: It is damaged, has no pings, or has an unknown format.
        UnsupportedDatagram: It is intact, but echopype cannot read it.
    """
    declared = SONAR_MODELS[sonar_model.upper()].format.name
    if summary.found is not None and summary.found != declared:
        raise WrongModel(summary.file, sonar_model.upper(), summary.found)
    if summary.bytes_total == 0 or summary.condition == "not_this_format":
        raise BadFile(summary.file, summary.damage or "the file has an unknown format")
    damaged = summary.condition in {"truncated", "hole", "joined"}
    if damaged and not (allow_partial and summary.convertible):
        raise BadFile(
            summary.file,
            summary.damage or summary.condition,
            last_good_byte=summary.last_good_byte,
            last_good_ping=summary.last_good_ping,
        )
    refused = summary.unsupported
    if refused is not None and not (allow_partial and refused.removable and summary.convertible):
        raise UnsupportedDatagram(summary.file, refused.datagram, refused.cause)
    if not summary.convertible:
        raise BadFile(summary.file, summary.damage or "none of its pings can be converted")


def write_whole_part(path: Path, summary: FileSummary, target: Path) -> None:
    """Write the intact part of `path` to `target`, which is then an intact file.

    Damaged bytes, whole pings without parameters, a second file after the first, and
    datagrams that echopype cannot read are left out. The order stays.

    Raises:
        ValueError: Nothing in the file can be converted (`decide` raises before that).
        OSError: `path` cannot be read or has become shorter, or `target` cannot be written.
    """
    if not summary.convertible:
        raise ValueError(f"{summary.file}: it has no intact part to write")
    with path.open("rb") as raw, target.open("wb") as part:
        for start, end in summary.whole:
            raw.seek(start)
            left = end - start
            while left > 0:
                block = raw.read(min(left, COPY_BLOCK))
                if not block:
                    raise OSError(f"{path} ends at byte {end - left}, {left} bytes too early")
                part.write(block)
                left -= len(block)

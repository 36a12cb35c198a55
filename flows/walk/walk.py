"""Finds the format of a file, and walks over its datagrams."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flows.walk.ad2cp import Record, read_record, walk_ad2cp
from flows.walk.asl.azfp import walk_azfp
from flows.walk.asl.azfp6 import walk_azfp6
from flows.walk.simrad.summary import walk_simrad
from flows.walk.summary import FileSummary
from sonar_models import AD2CP, SONAR_MODELS, FileFormat, format_in_bytes

_WALKS: dict[str, Callable[..., FileSummary]] = {
    "EK60": walk_simrad,
    "EK80": walk_simrad,
    "AZFP": walk_azfp,
    "AZFP6": walk_azfp6,
    "AD2CP": walk_ad2cp,
}


def preflight(path: Path, sonar_model: str) -> FileSummary:
    """Walk over the datagrams of the raw file at `path`, declared as `sonar_model`.

    It reads headers, not samples (but see `zero_sectors`), and returns a summary for
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
        summary = _WALKS[walked](fd, size, file=path.name, sonar_model=model, found=walked)
    if size == 0:
        return replace(summary, found=None)
    if found is None and not summary.datagrams and not _could_begin(path, size, declared):
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


def _could_begin(path: Path, size: int, declared: FileFormat) -> bool:
    """Whether the file is so short that it may be the beginning of the declared format."""
    return size < 8 and declared.may_begin(path.read_bytes())

"""Finds the format of a file, and walks over its datagrams."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flows.walk.ad2cp import Record, read_record, walk_ad2cp
from flows.walk.azfp import FLAG, walk_azfp
from flows.walk.azfp6 import XML_START, walk_azfp6
from flows.walk.simrad.summary import walk_simrad
from flows.walk.summary import FORMAT_OF_MODEL, FileSummary

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
    if model not in FORMAT_OF_MODEL:
        known = ", ".join(FORMAT_OF_MODEL)
        raise ValueError(f"unknown sonar model {sonar_model!r}; known models: {known}")
    declared = FORMAT_OF_MODEL[model]
    with path.open("rb", buffering=0) as raw:
        fd = raw.fileno()
        size = os.fstat(fd).st_size
        found = format_of(fd, size)
        walked = found or declared
        summary = _WALKS[walked](fd, size, file=path.name, sonar_model=model, found=walked)
    if size == 0:
        return replace(summary, found=None)
    if found is None and not summary.datagrams and not _could_begin(path, size, declared):
        cause = f"not an {declared} file: no whole datagram in its {size} bytes"
        return replace(summary, condition="not_this_format", damage=cause, found=None)
    if walked != declared:
        return replace(summary, condition="not_this_format")
    return summary


def format_of(fd: int, size: int) -> str | None:
    """The format that the file's first bytes show, None if unknown."""
    head = os.pread(fd, 12, 0)
    if head[4:8] == b"CON0":
        return "EK60"
    if head[4:8] == b"XML0":
        return "EK80"
    if head[:2] == FLAG:
        return "AZFP"
    if head[:4] == struct.pack("<I", XML_START):
        return "AZFP6"
    if isinstance(read_record(fd, size, 0), Record):
        return "AD2CP"
    return None


def _could_begin(path: Path, size: int, declared: str) -> bool:
    """Whether the file is so short that it may be the beginning of the declared format."""
    if size >= 8:
        return False
    head = path.read_bytes()
    if declared in {"EK60", "EK80"}:
        return (b"CON0" if declared == "EK60" else b"XML0").startswith(head[4:])
    first = {"AZFP": FLAG, "AZFP6": struct.pack("<I", XML_START), "AD2CP": b"\xa5\x0a"}[declared]
    return first.startswith(head[: len(first)])

"""Grows an AD2CP file to a wanted size: repeats its records with advancing times."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from flows.walk.ad2cp import RAW_ECHOSOUNDER, checksum
from flows.walk.record_index import STRING
from flows.walk.walk import preflight


def grow_records(source: Path, target: Path, wanted_bytes: int) -> None:
    """Write a file of about that size: the source's strings once, its other records repeatedly.

    Raises:
        ValueError: the source has no dated records.
    """
    records = preflight(source, "AD2CP").records
    if records is None or not records.is_dated.any():
        raise ValueError(f"{source} has no dated records")
    content = source.read_bytes()
    spans = list(zip(records.offset.tolist(), records.end.tolist(), strict=True))
    dated = [content[s:e] for (s, e), d in zip(spans, records.is_dated, strict=True) if d]
    times = records.times[records.is_dated]
    lasts = (times.max() - times.min()) + np.timedelta64(1, "s")
    with target.open("wb") as file:
        for (start, end), id_ in zip(spans, records.id.tolist(), strict=True):
            if id_ == STRING:
                file.write(content[start:end])
        copy = 0
        while file.tell() < wanted_bytes:
            for record, time in zip(dated, times, strict=True):
                file.write(_dated(record, time + copy * lasts))
            copy += 1


def _dated(record: bytes, time: np.datetime64) -> bytes:
    """The record with another time and correct checksums."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=int(time.astype("datetime64[us]").astype(np.int64))
    )
    made = bytearray(record)
    header = record[1]
    date = (at.year - 1900, at.month - 1, at.day, at.hour, at.minute, at.second)
    place = header + (2 if record[2] in RAW_ECHOSOUNDER else 8)
    struct.pack_into("<6BH", made, place, *date, at.microsecond // 100)
    struct.pack_into("<H", made, header - 4, checksum(bytes(made[header:])))
    struct.pack_into("<H", made, header - 2, checksum(bytes(made[: header - 2])))
    return bytes(made)

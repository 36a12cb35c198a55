"""The result of a walk over a raw file's datagrams, before it is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from flows.walk.account import NotConverted, iso
from flows.walk.record_index import RecordIndex
from flows.walk.repair_log import Repair
from flows.walk.sample_index import SampleIndex

Condition = Literal["intact", "truncated", "hole", "joined", "empty", "not_this_format"]
Span = tuple[int, int]
Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Unsupported:
    """A whole datagram (or a sequence of them) that echopype cannot read.

    `removable`: the file can be converted without it, so `allow_partial` leaves it out.
    """

    datagram: str
    cause: str
    removable: bool


@dataclass(frozen=True)
class Damage:
    """Bytes `[start, end)` that are not a whole datagram, and why.

    `pings_before` counts the whole pings before it in the file.
    """

    start: int
    end: int
    cause: str
    pings_before: int


@dataclass(frozen=True, kw_only=True)
class FileSummary:
    """The datagrams of one raw file: which are whole, which are lost, and where.

    Attributes:
        file: Name of the file, for messages.
        found: The format of its bytes (see `sonar_models`), None if unknown.
        condition: `joined` is a file to which another was appended; `empty` is a file
            without any ping, even if it is not 0 bytes long.
        damage: One sentence for people, None for an intact file.
        datagrams: Whole datagrams by type (Simrad), or records (AZFP, AD2CP).
        pings: Whole pings that can be converted, by channel (AD2CP: by kind of ping).
        pings_unusable: Whole pings whose parameters or configuration are lost.
        bytes_unaccounted: Bytes that belong to no whole datagram.
        last_good_byte: Offset after the last whole datagram before the first damage;
            `bytes_total` for an intact file.
        last_good_ping: Time of the last whole ping before the first damage.
        second_file: Offset of a file that was appended to this one.
        unsupported: The first datagram that echopype cannot read.
        refused: By type, all datagrams that echopype cannot read.
        left_out: By kind, whole records that are left out because echopype would misread them.
        unconverted: Sentences about data that is whole and known, but not converted.
        not_converted: The same as data, and the refused datagrams.
        notes: Sentences about oddities that are not damage.
        convertible: Whether the configuration and at least one ping are whole.
        whole: Spans `[start, end)` that form an intact file when joined.
        ping_times: By channel, the ping times (datetime64[ns], in file order) that
            echopype must read from the whole spans; there are fewer than in `pings` if
            pings are recorded twice, byte for byte.
        repeated: Spans of pings that repeat another byte for byte: the parser does not get them.
        repairs: What the parser gets changed, as far as the walk has found it.
    """

    file: str
    sonar_model: str
    found: str | None
    condition: Condition
    damage: str | None
    datagrams: dict[str, int]
    pings: dict[str, int]
    pings_unusable: int
    first_time: datetime | None
    last_time: datetime | None
    bytes_total: int
    bytes_unaccounted: int
    last_good_byte: int
    last_good_ping: datetime | None
    damages: tuple[Damage, ...] = field(repr=False)
    second_file: int | None
    unsupported: Unsupported | None
    refused: Mapping[str, NotConverted]
    left_out: Mapping[str, NotConverted]
    unconverted: tuple[str, ...]
    notes: tuple[str, ...]
    convertible: bool
    whole: tuple[Span, ...] = field(repr=False)
    ping_times: Mapping[str, Times] = field(repr=False, compare=False)
    samples: SampleIndex | None = field(default=None, repr=False, compare=False)
    records: RecordIndex | None = field(default=None, repr=False, compare=False)
    not_converted: tuple[NotConverted, ...] = ()
    repeated: tuple[Span, ...] = field(default=(), repr=False)
    repairs: tuple[Repair, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the parser gets the whole file unchanged."""
        return self.damage is None and self.unsupported is None and not self.left_out

    @property
    def missing(self) -> list[str]:
        """A sentence for each part of the file that is missing from its output."""
        sentences = [
            f"bytes {damage.start} to {damage.end} are lost ({damage.cause}), "
            f"after {damage.pings_before} pings"
            for damage in self.damages
        ]
        if self.pings_unusable:
            sentences.append(f"{self.pings_unusable} whole pings lost their parameters")
        if self.second_file is not None:
            sentences.append(f"a second file, from byte {self.second_file} on")
        without = (*self.refused.values(), *self.left_out.values())
        return [*sentences, *(entry.left_out for entry in without), *self.unconverted]

    def __str__(self) -> str:
        """The rows of `echodrop check`."""
        return "\n".join(f"{label}: {text}" for label, text in check_rows(self))

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON values (times in ISO 8601, UTC), without spans and ping times."""
        as_they_are = (
            *("file", "sonar_model", "found", "condition", "damage", "datagrams", "pings"),
            *("pings_unusable", "bytes_total", "bytes_unaccounted", "last_good_byte"),
        )
        return {
            **{name: getattr(self, name) for name in as_they_are},
            "first_time": iso(self.first_time),
            "last_time": iso(self.last_time),
            "bytes_whole": sum(end - start for start, end in self.whole),
            "last_good_ping": iso(self.last_good_ping),
            "unsupported": None
            if self.unsupported is None
            else {"datagram": self.unsupported.datagram, "cause": self.unsupported.cause},
            "damages": [asdict(damage) for damage in self.damages],
            "refused": {
                type_: entry.as_json("count", "cause") for type_, entry in self.refused.items()
            },
            "left_out": {
                name: entry.as_json("count", "bytes", "first_time", "last_time", "cause")
                for name, entry in self.left_out.items()
            },
            "unconverted": list(self.unconverted),
            "not_converted": [entry.as_json() for entry in self.not_converted],
            "notes": list(self.notes),
        }


def check_rows(summary: FileSummary) -> list[tuple[str, str]]:
    """The output of `echodrop check`: (label, text) in reading order."""
    rows = [
        ("file", summary.file),
        ("declared as", summary.sonar_model),
        ("format", summary.found or "unknown"),
        ("condition", summary.condition.replace("_", " ")),
    ]
    if summary.damage:
        rows.append(("damage", summary.damage))
    rows.extend(
        ("not supported", f"{refused.count} {type_}: {refused.why}")
        for type_, refused in summary.refused.items()
    )
    rows.append(("bytes", f"{summary.bytes_total:,}"))
    if summary.bytes_unaccounted:
        rows.append(("bytes lost", f"{summary.bytes_unaccounted:,}"))
    if summary.last_good_byte < summary.bytes_total:
        rows.append(("intact up to byte", f"{summary.last_good_byte:,}"))
    if summary.last_good_ping and summary.condition != "intact":
        rows.append(("last whole ping before it", summary.last_good_ping.isoformat()))
    rows.extend((f"datagrams {type_}", f"{count:,}") for type_, count in summary.datagrams.items())
    rows.extend((f"pings of {channel}", f"{count:,}") for channel, count in summary.pings.items())
    if summary.pings_unusable:
        rows.append(("pings without their parameters", f"{summary.pings_unusable:,}"))
    if summary.first_time and summary.last_time:
        rows.append(("first ping", summary.first_time.isoformat()))
        rows.append(("last ping", summary.last_time.isoformat()))
    rows.extend(("left out", entry.left_out) for entry in summary.left_out.values())
    rows.extend(("not converted", sentence) for sentence in summary.unconverted)
    rows.extend(("repaired", str(repair)) for repair in summary.repairs)
    rows.extend(("note", note) for note in summary.notes)
    return rows

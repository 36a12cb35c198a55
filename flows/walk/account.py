"""The account of each format, and the data that the output of a file lacks.

account.md says of each field of a datagram where it is in the output, or why it is not there.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

ACCOUNT = Path(__file__).with_name("account.md")
_UNUSED = "not converted: "
_NAMED = "not converted (named in `missing`): "

# Types of rows that the walks name by themselves.
UNTIMED = "datagram with a time of zero"
MISDATED = "datagram with a time before 1678 or after 2262"
XML_OTHER = "XML0 of another kind"
ADCP_PINGS = "pings of an ADCP (EC150)"
SAME_FILTER = "FIL1 in place of another one of its time"
WITHOUT_PING = "RAW4 without a ping"
FILTER_OF_NO_CHANNEL = "FIL1 of a channel that the configuration lacks"
AFTER_ALL_PINGS = "XML0 Environment that no ping follows"
SAME_TIME = "record of the same time as an earlier one"


class Row(NamedTuple):
    """A field of a datagram (record), or several that go the same way.

    `place` is `Group: variable, variable` in the output, None if it is not converted. `named`: a file with
    such datagrams has them in `missing` and `not_converted`, with `why`.
    """

    type: str
    fields: str
    place: str | None
    why: str | None = None
    named: bool = False


@functools.cache
def accounts() -> Mapping[str, Sequence[Row]]:
    """The rows of each format, by its name in `sonar_models`."""
    found: dict[str, list[Row]] = {}
    own: list[list[Row]] = []
    for line in ACCOUNT.read_text("utf-8").splitlines():
        if line.startswith("## "):
            own = [found.setdefault(name, []) for name in line[3:].split(", ")]
        elif line.startswith("| ") and not line.startswith("| datagram |"):
            type_, fields, place = line.strip("| ").split(" | ")
            row = Row(type_, fields, place)
            for start in (_UNUSED, _NAMED):
                if place.startswith(start):
                    row = Row(type_, fields, None, place.removeprefix(start), start == _NAMED)
            for rows in own:
                rows.append(row)
    return found


@functools.cache
def reasons(format_: str) -> Mapping[str, str]:
    """Type -> why it is not converted, for the types that a manifest names."""
    found: dict[str, list[str]] = {}
    for row in accounts()[format_]:
        if row.named and row.why is not None:
            what = row.why if row.fields == "all" else f"{row.fields}: {row.why}"
            found.setdefault(row.type, []).append(what)
    return {type_: "; ".join(whys) for type_, whys in found.items()}


@dataclass(frozen=True)
class NotConverted:
    """Datagrams (records) of one type that are not in the output, or not with all fields.

    `why` has the fields if others are converted, and is that of the first. `first_time` and
    `last_time` are the earliest and the latest of their times, None if none is known. `bytes` is
    their size, 0 if it is not counted.
    """

    type: str
    why: str
    count: int = 0
    first_time: datetime | None = None
    last_time: datetime | None = None
    bytes: int = 0

    @classmethod
    def of(cls, type_: str, count: int, times: NDArray[np.datetime64], why: str) -> Self:
        """An entry for datagrams with these times (datetime64[ns]), some of which may be NaT."""
        known = times[~np.isnat(times)]
        first, last = (known.min(), known.max()) if known.size else (None, None)
        return cls(type_, why, count, as_datetime(first), as_datetime(last))

    def with_one_more(self, time: datetime | None, size: int = 0) -> Self:
        """The entry with another datagram of this time and size."""
        times = [each for each in (self.first_time, self.last_time, time) if each is not None]
        first, last = min(times, default=None), max(times, default=None)
        count, size = self.count + 1, self.bytes + size
        return replace(self, count=count, first_time=first, last_time=last, bytes=size)

    @property
    def sentence(self) -> str:
        """One sentence for `missing`."""
        verb = "is" if self.count == 1 else "are"
        return f"{self.count} {self.type} {verb} not converted ({self.why})"

    @property
    def left_out(self) -> str:
        """One sentence for `missing` about datagrams that echopype cannot read."""
        size = f"{self.bytes} bytes" if self.bytes else ""
        if self.bytes and self.first_time and self.last_time:
            size += f", {self.first_time.isoformat()} to {self.last_time.isoformat()}"
        return f"{self.count} {self.type} left out ({size}{'; ' if size else ''}{self.why})"

    def as_json(self, *names: str) -> dict[str, str | int | None]:
        """These fields, by default those of the manifest's entry; `cause` is another name of `why`."""
        found = asdict(self) | {"cause": self.why}
        found |= {"first_time": iso(self.first_time), "last_time": iso(self.last_time)}
        wanted = names or ("type", "count", "first_time", "last_time", "why")
        return {name: found[name] for name in wanted}


def as_datetime(time: np.datetime64 | None) -> datetime | None:
    """`time` (ns) as an aware datetime, to the microsecond; None for None and NaT."""
    if time is None or np.isnat(time):
        return None
    converted: datetime = time.astype("datetime64[us]").item()
    return converted.replace(tzinfo=UTC)


def iso(time: datetime | None) -> str | None:
    """A time in ISO 8601, for JSON."""
    return None if time is None else time.isoformat()

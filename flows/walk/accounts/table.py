"""The accounts of all formats, and the data that the output of a file lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.walk.accounts.ad2cp import AD2CP
from flows.walk.accounts.azfp import AZFP, AZFP6
from flows.walk.accounts.ek60 import EK60
from flows.walk.accounts.ek80 import EK80
from flows.walk.accounts.row import Row

# By the name of the format, as in `sonar_models`.
ACCOUNTS: Mapping[str, Sequence[Row]] = {
    "EK60": EK60,
    "EK80": EK80,
    "AZFP": AZFP,
    "AZFP6": AZFP6,
    "AD2CP": AD2CP,
}


def reasons(format_: str) -> dict[str, str]:
    """Type -> why it is not converted, for the types that a manifest names."""
    found: dict[str, list[str]] = {}
    for row in ACCOUNTS[format_]:
        if row.named and row.why is not None:
            what = row.why if row.fields == "all" else f"{row.fields}: {row.why}"
            found.setdefault(row.type, []).append(what)
    return {type_: "; ".join(whys) for type_, whys in found.items()}


@dataclass(frozen=True)
class NotConverted:
    """Datagrams (records) of one type that are not in the output, or not with all fields.

    Attributes:
        type: their type.
        count: how many they are.
        first_time: the earliest of their times, None if none is known.
        last_time: the latest.
        why: why, with the fields if others are converted.
    """

    type: str
    count: int
    first_time: datetime | None
    last_time: datetime | None
    why: str

    @property
    def sentence(self) -> str:
        """One sentence for `missing`."""
        verb = "is" if self.count == 1 else "are"
        return f"{self.count} {self.type} {verb} not converted ({self.why})"

    def as_json(self) -> dict[str, str | int | None]:
        """The manifest's entry."""
        first, last = (
            None if time is None else time.isoformat() for time in (self.first_time, self.last_time)
        )
        return {
            "type": self.type,
            "count": self.count,
            "first_time": first,
            "last_time": last,
            "why": self.why,
        }

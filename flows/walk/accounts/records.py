"""The records of an AD2CP file that the output lacks."""

from __future__ import annotations

import numpy as np

from flows.walk.accounts.table import NotConverted, reasons
from flows.walk.as_datetime import as_datetime
from flows.walk.record_index import RecordIndex

# The ids whose records are read, but not or not wholly converted; names as in `flows.walk.ad2cp`.
_IDS = {
    0xA0: "string",
    0x17: "bottom track",
    0x1B: "interleaved bottom track",
    0x1D: "water track",
}


def records_not_converted(records: RecordIndex) -> list[NotConverted]:
    """One entry for each kind of record with data that the output lacks."""
    whys = reasons("AD2CP")
    entries = []
    for id_, type_ in _IDS.items():
        times = records.times[records.id == id_]
        if not times.size:
            continue
        known = times[~np.isnat(times)]
        first, last = (known.min(), known.max()) if known.size else (None, None)
        entries.append(
            NotConverted(type_, times.size, as_datetime(first), as_datetime(last), whys[type_])
        )
    return entries

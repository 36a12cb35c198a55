"""The records of an AD2CP file that the output lacks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flows.walk.accounts.ad2cp import SAME_TIME
from flows.walk.accounts.table import NotConverted, reasons
from flows.walk.as_datetime import as_datetime
from flows.walk.record_index import RAW, RAW_TRANSMIT, RecordIndex

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
    types = {type_: records.times[records.id == id_] for id_, type_ in _IDS.items()}
    types[SAME_TIME] = records.times[_behind_another_of_its_time(records)]
    for type_, times in types.items():
        if not times.size:
            continue
        known = times[~np.isnat(times)]
        first, last = (known.min(), known.max()) if known.size else (None, None)
        entries.append(
            NotConverted(type_, times.size, as_datetime(first), as_datetime(last), whys[type_])
        )
    return entries


def _behind_another_of_its_time(records: RecordIndex) -> NDArray[np.bool_]:
    """Which records differ from the first one of their time, or without a time.

    Those of a raw echosounder have nothing that echopype stores by time.
    """
    behind = records.is_dated & ~np.isin(records.id, (RAW, RAW_TRANSMIT))
    dated = np.flatnonzero(records.is_dated)
    _, first, of_time = np.unique(records.times[dated], return_index=True, return_inverse=True)
    own, firsts = records.checksum[dated], records.checksum[dated[first]]
    behind[dated] &= own != firsts[of_time.reshape(-1)]
    return behind

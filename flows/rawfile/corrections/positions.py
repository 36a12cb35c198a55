"""Positions of NMEA sentences without a fix, which echopype has at 0 N 0 E (echopype#1286)."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Correction

# NMEA 0183: fields of the position in each sentence, and where it says whether there is a fix.
_LATITUDE = {"GGA": 2, "GLL": 1, "RMC": 3}
_STATUS = {"GGA": (6, "0"), "GLL": (6, "V"), "RMC": (2, "V")}
_NUMBER = re.compile(r"\d+(\.\d*)?", re.ASCII)


def correct_positions(
    platform: xr.Dataset, nmea: xr.Dataset
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with NaN for positions without a fix; None if all have one.

    Args:
        platform: echopype's Platform group; its positions are those of the GGA, GLL and
            RMC sentences, in order.
        nmea: echopype's Platform/NMEA group.
    """
    sentences = [text for text in map(str, nmea["NMEA_datagram"].values) if text[3:6] in _LATITUDE]
    if len(sentences) != platform.sizes["time1"]:
        return None
    fixed = np.array([has_fix(sentence) for sentence in sentences])
    names = ("latitude", "longitude")
    wrong = ~fixed & ~np.isnan(np.stack([platform[name].values for name in names])).all(axis=0)
    if not wrong.any():
        return None
    columns = {
        name: platform[name].copy(data=np.where(fixed, platform[name].values, np.nan))
        for name in names
    }
    what = "positions of NMEA sentences without a fix are NaN, not 0 N 0 E"
    return platform.assign(columns), Correction(what, int(np.count_nonzero(wrong)))


def has_fix(sentence: str) -> bool:
    """Whether a GGA, GLL or RMC sentence has a position that its receiver calls valid."""
    fields = sentence.strip().partition("*")[0].split(",")
    kind = sentence[3:6]
    at = _LATITUDE[kind]
    position = fields[at : at + 4]
    if len(position) < 4 or not (_NUMBER.fullmatch(position[0]) and _NUMBER.fullmatch(position[2])):
        return False
    if position[1] not in {"N", "S"} or position[3] not in {"E", "W"}:
        return False
    status, void = _STATUS[kind]
    # GLL has no status before NMEA 2.0.
    return len(fields) <= status or fields[status] != void

"""Positions of NMEA sentences that echopype misreads.

Those without a fix are at 0 N 0 E (echopype#1286). One whose direction is the sentence's last
field, before the line's end, has 0 in its place, and one in full minutes is NaN.
"""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Correction

# NMEA 0183: fields of the position in each sentence, and where it says whether there is a fix.
_LATITUDE = {"GGA": 2, "GLL": 1, "RMC": 3}
_STATUS = {"GGA": (6, "0"), "GLL": (6, "V"), "RMC": (2, "V")}
_NUMBER = re.compile(r"(\d*)(\d\d(?:\.\d*)?)", re.ASCII)
_SIGN = {"N": 1, "E": 1, "S": -1, "W": -1}
_NAMES = ("latitude", "longitude")


def correct_positions(
    platform: xr.Dataset, nmea: xr.Dataset
) -> tuple[xr.Dataset, list[Correction]]:
    """The Platform group with each sentence's position, NaN without a fix.

    Args:
        platform: echopype's Platform group; its positions are those of the GGA, GLL and
            RMC sentences, in order.
        nmea: echopype's Platform/NMEA group.
    """
    sentences = [text for text in map(str, nmea["NMEA_datagram"].values) if text[3:6] in _LATITUDE]
    if len(sentences) != platform.sizes["time1"]:
        return platform, []
    parsed = platform["sentence_type"].values.astype(str) != "nan"
    found = np.stack([platform[name].values for name in _NAMES])
    none = (np.nan, np.nan)
    own = np.array([position_of(text) or none for text in sentences]).reshape(-1, 2).T
    fixed = ~np.isnan(own).any(axis=0)
    void = ~fixed & ~np.isnan(found).all(axis=0)
    # A sentence that echopype refuses as a whole has a wrong checksum.
    misread = fixed & parsed & ~np.isclose(found, own, rtol=0, atol=1e-6).all(axis=0)
    if not (void | misread).any():
        return platform, []
    corrected = np.where(misread, own, np.where(fixed, found, np.nan))
    columns = {
        name: platform[name].copy(data=row) for name, row in zip(_NAMES, corrected, strict=True)
    }
    kinds = {
        "positions of NMEA sentences without a fix are NaN, not 0 N 0 E": void,
        "positions of NMEA sentences are those of their text, not 0 or NaN": misread,
    }
    done = [Correction(what, int(which.sum())) for what, which in kinds.items() if which.any()]
    return platform.assign(columns), done


def position_of(sentence: str) -> tuple[float, float] | None:
    """Latitude and longitude (degrees) of a GGA, GLL or RMC sentence.

    None if it has none, or its receiver does not call it valid.
    """
    fields = sentence.strip().partition("*")[0].split(",")
    kind = sentence[3:6]
    at = _LATITUDE[kind]
    position = fields[at : at + 4]
    if len(position) < 4 or position[1] not in {"N", "S"} or position[3] not in {"E", "W"}:
        return None
    status, void = _STATUS[kind]
    # GLL has no status before NMEA 2.0.
    if len(fields) > status and fields[status] == void:
        return None
    degrees = []
    for text, direction in (position[:2], position[2:]):
        written = _NUMBER.fullmatch(text)
        if written is None:
            return None
        degrees.append(_SIGN[direction] * (int(written[1] or 0) + float(written[2]) / 60))
    return degrees[0], degrees[1]

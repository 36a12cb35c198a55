"""The time that a recording's file name has."""

from __future__ import annotations

import re

import numpy as np

# Simrad: D20070724-T042400; other software: 20070724_042400, 2007-07-24T04-24-00.
_DATE_AND_TIME = re.compile(
    r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)[-_ ]?T?[-_]?(\d\d)[-_:]?(\d\d)[-_:]?(\d\d)(?!\d)"
)
# AZFP (operator's manual): year, month, day, hour, with two digits each, at the beginning.
_AZFP = re.compile(r"\A(\d\d)(\d\d)(\d\d)(\d\d)(?=\D).*\.(?:\d\d[a-z]|azfp)\Z", re.IGNORECASE)


def time_in_name(name: str) -> np.datetime64 | None:
    """The time in a file's name (datetime64[s]), None if it has none."""
    if found := _AZFP.match(name):
        year, month, day, hour = map(int, found.groups())
        return _time(2000 + year, month, day, hour, 0, 0)
    for found in _DATE_AND_TIME.finditer(name):
        time = _time(*map(int, found.groups()))
        if time is not None:
            return time
    return None


def _time(*parts: int) -> np.datetime64 | None:
    year, month, day, hour, minute, second = parts
    written = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    try:
        return np.datetime64(written, "s")
    except ValueError:
        return None

"""The facts of the recorded files, as in `expected.json` beside them."""

from __future__ import annotations

import json
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from tests.damaged_files import AZFP, AZFP_PING

_DATE = struct.Struct(">7H")
_DATE_AT = 12


def expected_facts(real_data: Path) -> dict[str, dict[str, Any]]:
    """Path below the folder -> facts of the file.

    They are what echopype reads, apart from the times of an AZFP's pings: echopype drops the
    hundredths of a second, which the headers of the first and the last ping have.
    """
    facts: dict[str, dict[str, Any]] = json.loads((real_data / "expected.json").read_text())
    content = (real_data / AZFP).read_bytes()
    for name, at in (("first_ping_time", 0), ("last_ping_time", len(content) - AZFP_PING)):
        own = azfp_time(content[at:])
        assert facts[AZFP][name] == np.datetime_as_string(own.astype("datetime64[s]"), unit="ns")
        facts[AZFP][name] = np.datetime_as_string(own, unit="ns")
    return facts


def azfp_time(ping: bytes) -> np.datetime64:
    """The time of an AZFP's ping by its header, big-endian: year to second, hundredths."""
    *date, hundredths = _DATE.unpack_from(ping, _DATE_AT)
    moment = datetime(*date)  # noqa: DTZ001 - UTC by the format
    return np.datetime64(moment, "ns") + np.timedelta64(10 * hundredths, "ms")

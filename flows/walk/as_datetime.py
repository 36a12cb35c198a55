"""Times of numpy as Python's."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np


def as_datetime(time: np.datetime64 | None) -> datetime | None:
    """`time` (ns) as an aware datetime, to the microsecond; None for None and NaT."""
    if time is None or np.isnat(time):
        return None
    converted: datetime = time.astype("datetime64[us]").item()
    return converted.replace(tzinfo=UTC)

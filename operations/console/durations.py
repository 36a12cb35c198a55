"""Parses durations and times that an operator types."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta:
    """Parse a duration such as `90m`, `24h` or `7d`.

    Raises:
        ValueError: the text is not a duration, or it is longer than a century.
    """
    found = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 90m, 24h or 7d")
    length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    if length > timedelta(days=36525):
        raise ValueError(f"{text!r} is longer than a century")
    return length


def moment(text: str, now: datetime) -> datetime:
    """Parse a duration before now (`24h`), or an ISO 8601 date or time, in UTC unless it has a zone.

    Raises:
        ValueError: the text is neither.
    """
    try:
        return now - duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time such as 24h, 2026-01-31 or 2026-01-31T12:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

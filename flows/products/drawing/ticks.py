"""Where an axis has its ticks, and their labels."""

from __future__ import annotations

import math

import numpy as np

#: A place on the axis and its label.
Tick = tuple[float, str]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME_STEPS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)


def number_ticks(first: float, last: float, most: int) -> list[Tick]:
    """Multiples of 1, 2 or 5 times a power of ten, at most about `most`, from `first` to `last`."""
    span = last - first
    if not span > 0 or not math.isfinite(span):
        return []
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 5, 10, 20) if span / (s * power) <= most)
    numbers = range(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)
    digits = max(0, -math.floor(math.log10(step)))
    return [(n * step, f"{n * step:.{digits}f}".replace("-", "\N{MINUS SIGN}")) for n in numbers]


def time_ticks(first: float, last: float, most: int) -> tuple[list[Tick], str]:
    """Ticks of a time axis, and the days that their labels do not name.

    Args:
        first: seconds since 1970 (UTC).
        last: the same, at its end.
        most: the number of ticks that it has room for.
    """
    step = next((s for s in _TIME_STEPS if (last - first) / s <= most), _TIME_STEPS[-1])
    ticks = []
    for number in range(math.ceil(first / step), math.floor(last / step) + 1):
        text = time_text(number * step)
        if step >= _DAY:
            label = text[:10]
        elif step >= _MINUTE:
            # Midnight has the new day's date.
            label = text[5:10] if number * step % _DAY == 0 else text[11:16]
        else:
            digits = max(0, -math.floor(math.log10(step)))
            label = text[11 : 20 + digits] if digits else text[11:19]
        ticks.append((number * step, label))
    days = dict.fromkeys(time_text(end)[:10] for end in (first, last))
    return ticks, "" if step >= _DAY else " to ".join(days)


def time_text(seconds: float) -> str:
    """Seconds since 1970 as `2007-07-24T04:25:00.000`."""
    return str(np.datetime64(round(seconds * 1000), "ms"))

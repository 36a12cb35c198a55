"""Labels the axes of an echogram: depth or range, time, distance, colours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from flows.products.drawing.canvas import Box, Canvas
from flows.products.drawing.ticks import Tick, number_ticks, time_ticks
from flows.products.echogram import DrawnPanel
from flows.products.sv.platform import PlatformTrack
from flows.products.time_axis import positions

#: Of the horizontal axis: its first and last position (see `positions`).
Span = tuple[float, float]


def label_vertical(canvas: Canvas, box: Box, panel: DrawnPanel, label: str) -> None:
    """A frame around a panel, with the ticks and the name of its vertical axis."""
    canvas.frame(box)
    canvas.text_upward((34, (box.top + box.bottom) / 2), label, 10)
    start, stop = panel.grid.start, panel.grid.stop
    for number, text in number_ticks(start, stop, 6):
        y = box.top + (number - start) / (stop - start) * (box.bottom - box.top - 1)
        canvas.line((box.left - 6, y), (box.left - 2, y))
        canvas.text((box.left - 10, y), text, 10, "rm")


def add_colour_bars(
    canvas: Canvas, boxes: Sequence[Box], panels: Sequence[DrawnPanel], colours: str
) -> None:
    """One beside all neighbours that have the same colours."""
    pairs = [(b, p) for b, p in zip(boxes, panels, strict=True) if len(p.values)]
    for _, group in groupby(pairs, lambda pair: (pair[1].quantity, pair[1].limits)):
        run = list(group)
        panel, point, right = run[0][1], 14, run[0][0].right
        box = Box(right + 14, run[0][0].top + point, right + 31, run[-1][0].bottom - point)
        low, high = panel.limits
        colours_of = canvas.palette.maps[panel.colours or colours]
        rows = high - (np.arange(box.bottom - box.top) + 0.5) * (high - low) / (
            box.bottom - box.top
        )
        numbers = colours_of.numbers(rows.astype(np.float32), panel.limits)
        middle = (box.left + box.right - 1) / 2
        canvas.triangle(
            [(box.left - 1, box.top - 1), (box.right, box.top - 1), (middle, box.top - point)],
            int(numbers[0]),
        )
        canvas.triangle(
            [(box.left - 1, box.bottom), (box.right, box.bottom), (middle, box.bottom + point - 1)],
            colours_of.below,
        )
        canvas.place(box, np.repeat(numbers[:, None], box.right - box.left, axis=1))
        canvas.frame(box)
        for number, text in number_ticks(low, high, 7):
            y = box.top + (high - number) / (high - low) * (box.bottom - box.top - 1)
            canvas.line((box.right + 1, y), (box.right + 5, y))
            canvas.text((box.right + 9, y), text, 8, "lm")
        canvas.text_upward((right + 85, (box.top + box.bottom) / 2), panel.quantity, 8)


def label_time(
    canvas: Canvas,
    box: Box,
    panels: Sequence[DrawnPanel],
    span: Span,
    *,
    by_time: bool,
) -> None:
    """Times below a panel."""
    if by_time:
        ticks, days = time_ticks(*span, 9)
        label = "Time (UTC)"
    else:
        longest = max(panels, key=lambda panel: len(panel.times))
        ticks, days = _ping_ticks(longest, span), ""
        label = "Pings, with their time (UTC); dashed: pauses, or the clock goes back"
    for place, text in ticks:
        x = _at(box, place, span)
        canvas.line((x, box.bottom + 1), (x, box.bottom + 5))
        canvas.text((x, box.bottom + 10), text, 10 if by_time else 9, "ma")
    canvas.text(((box.left + box.right) / 2, box.bottom + 52), label, 10, "mm")
    canvas.text((box.right, box.bottom + 52), days, 10, "rm")


def label_distance(
    canvas: Canvas,
    box: Box,
    panels: Sequence[DrawnPanel],
    track: PlatformTrack | None,
    span: Span,
    *,
    by_time: bool,
) -> bool:
    """Nautical miles along the top of the first panel, where positions are known; whether they are."""
    longest = max(panels, key=lambda panel: len(panel.times))
    if track is None or (np.diff(longest.times[:, 0]) < np.timedelta64(0)).any():
        return False
    miles = track.miles(longest.times[:, 0])
    known = np.isfinite(miles)
    if known.sum() < 2 or np.nanmax(miles) < 0.005:
        return False
    places = positions(longest, by_time=by_time)[known, 0]
    sailed = np.maximum.accumulate(miles[known])
    for mile, text in number_ticks(0.0, float(sailed[-1]), 9):
        x = _at(box, float(np.interp(mile, sailed, places)), span)
        canvas.line((x, box.top - 6), (x, box.top - 2))
        canvas.text((x, box.top - 8), text, 8, "ms")
    canvas.text((box.right + 6, box.top - 8), "nautical miles", 8, "ls")
    return True


def _ping_ticks(panel: DrawnPanel, span: Span) -> list[Tick]:
    """The time of the ping at each of some places."""
    numbers = positions(panel, by_time=False)[:, 0]
    ticks = []
    for place, _ in number_ticks(*span, 8):
        number = int(np.clip(np.searchsorted(numbers, place), 0, numbers.size - 1))
        ticks.append((place, str(panel.times[number, 0])[5:19].replace("T", "\n")))
    return ticks


def _at(box: Box, place: float, span: Span) -> float:
    return box.left + (place - span[0]) / (span[1] - span[0]) * (box.right - box.left - 1)

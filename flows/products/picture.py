"""Draws an echogram as a PNG: time to the right, depth or range downward, one panel below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flows.products.axes import (
    Span,
    add_colour_bars,
    label_distance,
    label_time,
    label_vertical,
)
from flows.products.drawing.canvas import Box, Canvas, Pixels, draw_line, png_of
from flows.products.drawing.colours import NO_DATA, PASSIVE, ColourMap, Palette
from flows.products.echogram import DrawnPanel, Echogram
from flows.products.sv.panels import Floats
from flows.products.sv.platform import PlatformTrack
from flows.products.time_axis import can_be_drawn_by_time, column_edges, pauses, positions

# Pixels.
_WIDTH, _LEFT, _RIGHT = 1440, 102, 1292
_TOP, _BELOW, _LINE = 92, 88, 20
# Of a panel with its title, and of these the title; lower ones if there are many.
_PITCH, _LOW_PITCH, _TITLE = 314, 240, 44
_THUMBNAIL = (320, 180)
_DARK_GREY = 8
_AXES = {"depth": "Depth (m)", "range": "Range (m)", "sample": "Sample"}


@dataclass(frozen=True)
class Caption:
    """The text of a picture: a bold title, facts of the recording, and the notes."""

    title: str
    facts: Sequence[str]


@dataclass(frozen=True)
class Drawing:
    """A picture, and the boxes of its panels."""

    canvas: Canvas
    boxes: list[Box]


def draw(
    echogram: Echogram, caption: Caption, track: PlatformTrack | None, colours: str
) -> Drawing:
    """Draw an echogram.

    Args:
        echogram: what it shows.
        caption: its text.
        track: positions, for the distance; None or empty without.
        colours: `ek500`, one of cmocean such as `haline`, or one of matplotlib; panels with
            colours of their own keep them.

    Raises:
        ValueError: there is no such colour map.
    """
    panels = echogram.panels
    notes = textwrap.wrap(
        ". ".join(text[:1].upper() + text[1:] for text in (*caption.facts, *echogram.notes)) + ".",
        175,
    )
    pitch = _PITCH if len(panels) <= 6 else _LOW_PITCH
    under = _TOP + pitch * max(1, len(panels)) - _TITLE
    height = under + _BELOW + _LINE * len(notes)
    canvas = Canvas(_WIDTH, height, _palette(panels, colours))
    canvas.text((_LEFT, 14), caption.title, 12, "la", bold=True)
    for number, line in enumerate(notes):
        y = height - 12 - _LINE * (len(notes) - 1 - number)
        canvas.text((_LEFT, y), line, 8, "lb", ink=_DARK_GREY)
    tops = [_TOP + pitch * number for number in range(len(panels))]
    boxes = [Box(_LEFT, top, _RIGHT, top + pitch - _TITLE) for top in tops]
    by_time = can_be_drawn_by_time(panels)
    edges = [column_edges(positions(panel, by_time=by_time)) for panel in panels]
    spans = [found[[0, -1]] for found, _ in edges if found.size]
    span = (float(np.min(spans)), float(np.max(spans))) if spans else (0.0, 1.0)
    has_miles = bool(spans) and label_distance(
        canvas, boxes[0], panels, track, span, by_time=by_time
    )
    for number, (panel, box, found) in enumerate(zip(panels, boxes, edges, strict=True)):
        title_at = box.top - (25 if has_miles and number == 0 else 8)
        canvas.text((box.left, title_at), panel.title, 9, "ls")
        pixels = _pixels(panel, canvas.palette.maps[panel.colours or colours], found, span, box)
        if not by_time:
            _mark(pixels, pauses(panel, found[0]), span)
        canvas.place(box, pixels)
        if not np.isfinite(panel.values).any() and not panel.passive.any():
            middle = (box.left + box.right) / 2, (box.top + box.bottom) / 2
            canvas.text(middle, "no samples", 10, "mm")
        label_vertical(canvas, box, panel, _AXES[echogram.vertical])
    add_colour_bars(canvas, boxes, panels, colours)
    if spans:
        label_time(canvas, boxes[-1], panels, span, by_time=by_time)
    return Drawing(canvas, boxes)


def _palette(panels: Sequence[DrawnPanel], colours: str) -> Palette:
    return Palette({panel.colours or colours for panel in panels} or {colours})


def _pixels(
    panel: DrawnPanel,
    colours_of: ColourMap,
    cells: tuple[Floats, NDArray[np.intp]],
    span: Span,
    box: Box,
) -> Pixels:
    """What a panel's box shows: at each pixel the cell that its centre is in."""
    width, height = box.right - box.left, box.bottom - box.top
    edges, column_of = cells
    if not column_of.size:
        return np.full((height, width), NO_DATA, np.uint8)
    numbers = colours_of.numbers(panel.values, panel.limits)
    numbers[panel.passive] = PASSIVE
    # One more for where no ping is.
    numbers = np.append(numbers, np.full((1, panel.grid.count), NO_DATA, np.uint8), axis=0)
    across = span[0] + (np.arange(width) + 0.5) * (span[1] - span[0]) / width
    cell = np.searchsorted(edges, across, side="right") - 1
    column = np.where((cell >= 0) & (cell < column_of.size), np.append(column_of, -1)[cell], -1)
    passive = np.flatnonzero((column_of >= 0) & panel.passive[column_of])
    # Even if they are narrower than a pixel.
    column[_across(edges[passive], span, width)] = column_of[passive]
    rows = ((np.arange(height) + 0.5) * panel.grid.count / height).astype(np.intp)
    pixels = np.ascontiguousarray(numbers[column][:, rows].T)
    if panel.sea_floor is None:
        return pixels
    depth = np.where(column >= 0, panel.sea_floor[column], np.nan)
    share = (depth - panel.grid.start) / (panel.grid.stop - panel.grid.start)
    return draw_line(pixels, np.arange(width), share * height)


def _across(places: Floats, span: Span, width: int) -> NDArray[np.intp]:
    """The pixel columns of places on the horizontal axis."""
    shares = (places - span[0]) / (span[1] - span[0])
    return np.clip(shares * width, 0, width - 1).astype(np.intp)


def _mark(pixels: Pixels, places: Floats, span: Span) -> None:
    """Dashed lines from top to bottom."""
    dashes = np.flatnonzero(np.arange(len(pixels)) % 9 < 6)
    pixels[dashes[:, None], _across(places, span, pixels.shape[1])] = _DARK_GREY


def thumbnail_of(echogram: Echogram, colours: str) -> bytes:
    """A PNG of 320 by 180 pixels of one panel without axes: the one nearest to 38 kHz with samples."""
    panels = [panel for panel in echogram.panels if np.isfinite(panel.values).any()]
    width, height = _THUMBNAIL
    if not panels:
        palette = _palette(panels, colours)
        return png_of(Image.new("L", _THUMBNAIL, NO_DATA), palette)
    panel = next((p for p in panels if p.title.startswith("38 kHz")), panels[0])
    palette = _palette([panel], colours)
    columns = np.arange(width) * len(panel.values) // width
    rows = np.arange(height) * panel.grid.count // height
    numbers = palette.maps[panel.colours or colours].numbers(
        panel.values[columns][:, rows].T, panel.limits
    )
    numbers[:, panel.passive[columns]] = PASSIVE
    return png_of(Image.fromarray(numbers), palette)

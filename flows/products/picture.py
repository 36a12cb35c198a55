"""Draws an echogram as a PNG: time to the right, depth or range downward, one panel below the other."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from flows.products.echogram import DrawnPanel, Echogram
from flows.products.sv.platform import PlatformTrack
from flows.products.time_axis import can_be_drawn_by_time, column_edges, pauses, positions

# Of Simrad's EK500: 12 colours, and white below.
_EK500 = "#9f9f9f #5f5f5f #0000ff #00007f #00bf00 #007f00 #ffff00 #ff7f00 #ff00bf #ff0000 #a6533c #783c28"
_NO_DATA, _PASSIVE, _SEA_FLOOR = "#efe6d4", "#b9dcf2", "black"
_DPI, _WIDTH, _LEFT, _RIGHT = 120, 12.0, 0.85, 1.25
_THUMBNAIL = (320, 180)
_COMPRESSION = 3
_AXES = {"depth": "Depth (m)", "range": "Range (m)", "sample": "Sample"}


@dataclass(frozen=True)
class Caption:
    """The text of a picture: a bold title, facts of the recording, and the notes."""

    title: str
    facts: Sequence[str]


def colour_map(name: str) -> Colormap:
    """A colour map by name: `ek500`, one of cmocean such as `haline`, or one of matplotlib.

    Raises:
        ValueError: there is no such colour map.
    """
    if name == "ek500":
        return ListedColormap(_EK500.split(), name="ek500").with_extremes(under="white")
    import cmocean  # noqa: PLC0415 - only for its colours

    if name in cmocean.cm.cmapnames:
        found: Colormap = getattr(cmocean.cm, name)
        return found
    return colormaps[name]


def draw(echogram: Echogram, caption: Caption, track: PlatformTrack | None, colours: str) -> Figure:
    """The figure of an echogram.

    Args:
        echogram: what it shows.
        caption: its text.
        track: positions, for the distance; None or empty without.
        colours: see `colour_map`; panels with colours of their own keep them.
    """
    count = len(echogram.panels)
    height = 2.62 if count <= 6 else 2.0
    notes = textwrap.wrap(
        ". ".join(text[:1].upper() + text[1:] for text in (*caption.facts, *echogram.notes)) + ".",
        175,
    )
    top, bottom = 0.5, 0.72 + 0.16 * len(notes)
    total = top + bottom + height * max(1, count)
    figure = Figure(figsize=(_WIDTH, total), dpi=_DPI)
    FigureCanvasAgg(figure)
    figure.text(
        _LEFT / _WIDTH, 1 - 0.12 / total, caption.title, fontsize=12, weight="bold", va="top"
    )
    figure.text(
        _LEFT / _WIDTH, 0.1 / total, "\n".join(notes), fontsize=8, va="bottom", color="0.25"
    )
    by_time = can_be_drawn_by_time(echogram.panels)
    axes: list[Axes] = []
    for number, panel in enumerate(echogram.panels):
        lower = total - top - height * (number + 1)
        box = (
            _LEFT / _WIDTH,
            (lower + 0.08) / total,
            1 - (_LEFT + _RIGHT) / _WIDTH,
            (height - 0.36) / total,
        )
        axis = figure.add_axes(box, sharex=axes[0] if axes else None)
        _draw_panel(axis, panel, colour_map(panel.colours or colours), by_time=by_time)
        axis.set_ylabel(_AXES[echogram.vertical])
        if number < count - 1:
            axis.xaxis.set_visible(False)
        axes.append(axis)
    _add_colour_bars(figure, axes, echogram.panels)
    spans = [
        edges[[0, -1]]
        for panel in echogram.panels
        if (edges := column_edges(positions(panel, by_time=by_time))[0]).size
    ]
    if spans:
        axes[0].set_xlim(np.min(spans), np.max(spans))
        _label_time(axes[-1], echogram.panels, by_time=by_time)
        if track is not None:
            _label_distance(axes[0], echogram.panels, track, by_time=by_time)
    return figure


def _draw_panel(axis: Axes, panel: DrawnPanel, colours: Colormap, *, by_time: bool) -> None:
    axis.set_title(panel.title, loc="left", fontsize=9, pad=3, y=1.0)
    axis.set_facecolor(_NO_DATA)
    axis.set_ylim(panel.grid.stop, panel.grid.start)
    if not np.isfinite(panel.values).any() and not panel.passive.any():
        axis.text(0.5, 0.5, "no samples", transform=axis.transAxes, ha="center")
    edges, column_of = column_edges(positions(panel, by_time=by_time))
    if column_of.size:
        shown = np.full((column_of.size, panel.grid.count), np.nan, np.float32)
        shown[column_of >= 0] = panel.values[column_of[column_of >= 0]]
        picture = axis.pcolorfast(
            edges, panel.grid.edges, np.ma.masked_invalid(shown.T), cmap=colours
        )
        picture.set_clim(*panel.limits)
        passive = (column_of >= 0) & panel.passive[column_of]
        for place in np.flatnonzero(passive):
            axis.axvspan(edges[place], edges[place + 1], color=_PASSIVE, lw=0, zorder=1.5)
        if not by_time:
            for edge in pauses(panel, edges):
                axis.axvline(edge, color="0.3", lw=0.8, ls="--")
        if panel.sea_floor is not None:
            centres = (edges[:-1] + edges[1:]) / 2
            line = np.where(column_of >= 0, panel.sea_floor[column_of], np.nan)
            axis.plot(centres, line, color="white", lw=2.2, zorder=2)
            axis.plot(centres, line, color=_SEA_FLOOR, lw=1.1, zorder=3)


def _add_colour_bars(figure: Figure, axes: Sequence[Axes], panels: Sequence[DrawnPanel]) -> None:
    """One beside all neighbours that have the same colours, because each takes as long as an axis."""
    drawn = [pair for pair in zip(axes, panels, strict=True) if pair[0].images]
    for _, group in groupby(drawn, lambda pair: (pair[1].quantity, pair[1].limits)):
        run = list(group)
        low, high = run[-1][0].get_position().y0, run[0][0].get_position().y1
        beside = figure.add_axes((1 - (_RIGHT - 0.12) / _WIDTH, low, 0.14 / _WIDTH, high - low))
        bar = figure.colorbar(run[0][0].images[0], cax=beside, extend="both", extendfrac=0.02)
        bar.set_label(run[0][1].quantity, fontsize=8)
        bar.ax.tick_params(labelsize=8)


def _label_time(axis: Axes, panels: Sequence[DrawnPanel], *, by_time: bool) -> None:
    if by_time:
        locator = AutoDateLocator()  # type: ignore[no-untyped-call] # matplotlib.dates is untyped
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above
        axis.set_xlabel("Time (UTC)")
        return
    longest = max(panels, key=lambda panel: len(panel.times))
    numbers = positions(longest, by_time=False)[:, 0]

    def time_of(number: float, _: int) -> str:
        if not numbers.size:
            return ""
        place = int(np.clip(np.searchsorted(numbers, number), 0, numbers.size - 1))
        return str(longest.times[place, 0])[5:19].replace("T", "\n")

    axis.xaxis.set_major_locator(MaxNLocator(8))
    axis.xaxis.set_major_formatter(FuncFormatter(time_of))
    axis.set_xlabel("Pings, with their time (UTC); dashed: pauses, or the clock goes back")


def _label_distance(
    first: Axes,
    panels: Sequence[DrawnPanel],
    track: PlatformTrack,
    *,
    by_time: bool,
) -> None:
    """Nautical miles along the top of the first panel, where positions are known."""
    longest = max(panels, key=lambda panel: len(panel.times))
    if not len(longest.times) or (np.diff(longest.times[:, 0]) < np.timedelta64(0)).any():
        return
    miles = track.miles(longest.times[:, 0])
    known = np.isfinite(miles)
    if known.sum() < 2 or np.nanmax(miles) < 0.005:
        return
    places = positions(longest, by_time=by_time)[known, 0]
    sailed = np.maximum.accumulate(miles[known])
    ticks = [t for t in MaxNLocator(8).tick_values(0, float(sailed[-1])) if t <= sailed[-1]]
    beside = first.secondary_xaxis("top")
    beside.set_ticks(np.interp(ticks, sailed, places), [f"{tick:g}" for tick in ticks], fontsize=8)
    beside.tick_params(direction="in", pad=1)
    first.set_title(first.get_title(loc="left"), loc="left", fontsize=9, pad=14, y=1.0)
    first.annotate(
        "nautical miles", (1.0, 1.0), xycoords="axes fraction", xytext=(4, 8),
        textcoords="offset points", fontsize=8, ha="left", va="center",
    )  # fmt: skip


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call] # the canvas is untyped
    return _png(np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call] # as above


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Red, green and blue as a PNG; a higher level takes twice as long to save a sixth of the bytes."""
    body = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(body, "png", compress_level=_COMPRESSION)
    return body.getvalue()


def thumbnail_of(echogram: Echogram, colours: str) -> bytes:
    """A PNG of 320 by 180 pixels of one panel without axes: the one nearest to 38 kHz with samples."""
    panels = [panel for panel in echogram.panels if np.isfinite(panel.values).any()]
    width, height = _THUMBNAIL
    if not panels:
        pixels = np.ones((height, width, 4))
    else:
        panel = next((p for p in panels if p.title.startswith("38 kHz")), panels[0])
        columns = np.arange(width) * len(panel.values) // width
        rows = np.arange(height) * panel.grid.count // height
        shown = np.ma.masked_invalid(panel.values[columns][:, rows].T)
        low, high = panel.limits
        named = colour_map(panel.colours or colours).with_extremes(bad=_NO_DATA)
        pixels = named((shown - low) / (high - low))
        pixels[:, panel.passive[columns]] = (0.725, 0.863, 0.949, 1)
    return _png((pixels[..., :3] * 255 + 0.5).astype(np.uint8))

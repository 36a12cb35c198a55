"""What an echogram shows, before it is drawn: panels of means by column and bin, with their facts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.products.sv.depth_bins import (
    Linear,
    VerticalGrid,
    grid_over,
    in_decibels,
)
from flows.products.sv.gridded import SV_LABEL, Gridded, GriddedPanel
from flows.products.sv.panels import Bools, Floats, Times
from flows.products.sv.platform import sea_floor

# The pixels of a panel.
MAX_COLUMNS, MAX_BINS = 1190, 270
SV_LIMITS = (-90.0, -30.0)
#: Samples that a picture reads; of more, every k-th ping, as long as that leaves so many pings. Pulse
#: compression costs ten times as much.
PICTURE_SAMPLES, _LEAST_PINGS = 20_000_000, 250
#: Metres shown below the deepest sea floor, as a share of its depth.
_BELOW_THE_SEA_FLOOR = 0.25


@dataclass(eq=False)
class DrawnPanel:
    """One panel.

    Attributes:
        title: channel, pulse, pings.
        quantity: of the colours, with its unit.
        limits: of the colours.
        times: of each column's first and last ping (columns by 2).
        numbers: of each column's first and last ping in the group (columns by 2).
        values: in `quantity`; NaN where there is no sample (columns by bins).
        grid: of the bins.
        passive: whether the column has passive pings (columns).
        sea_floor: on the vertical axis; NaN where not found (columns), or None.
        colours: a colour map of its own.
    """

    title: str
    quantity: str
    limits: tuple[float, float]
    times: Times
    numbers: NDArray[np.intp]
    values: NDArray[np.float32]
    grid: VerticalGrid
    passive: Bools
    sea_floor: Floats | None = None
    colours: str | None = None


@dataclass(eq=False)
class Echogram:
    """A whole picture.

    Attributes:
        vertical: `depth`, `range` or `sample`.
        every_ping: 1 if all pings are in it.
        notes: what a reader must know of the values, a sentence each.
    """

    panels: list[DrawnPanel]
    vertical: str
    every_ping: int = 1
    notes: list[str] = field(default_factory=list)

    @property
    def quantity(self) -> str:
        """`Sv`, or the first panel's quantity."""
        first = self.panels[0].quantity if self.panels else SV_LABEL
        return "Sv" if first == SV_LABEL else first


def sv_echogram(echodata: Any, source: Gridded, manifest: Mapping[str, Any]) -> Echogram:  # noqa: ANN401 - as above
    """The echogram of an output with beam groups of samples, in bounded memory."""
    longest = max((each.panel.pings.size for each in source.panels), default=0)
    every = min(math.ceil(source.cost() / PICTURE_SAMPLES), longest // _LEAST_PINGS)
    every = max(1, every)
    notes = list(source.notes)
    drawn = [_drawn(each, sea_floor(echodata, each.panel), every, source) for each in source.panels]
    if any(panel.sea_floor is not None for panel in drawn):
        notes.append("black line: sea floor of the .bot")
        shown, recorded = (
            max(ends) for ends in ([p.grid.stop for p in drawn], [e.last for e in source.panels])
        )
        if shown < recorded:
            notes.append(f"shown to {shown:.0f} m of {recorded:.0f} m, to below the sea floor")
    notes += [*source.cut_notes(), *every_ping_note(every)]
    if any(e.panel.encoding == "counts" and e.quantity == SV_LABEL for e in source.panels):
        notes.append("salinity 35 and pressure 50 dbar are assumed: an AZFP does not measure them")
    if default := _not_calibrated(manifest, source):
        notes.append(f"not calibrated in the field: {default}")
    passive = sum(int(each.panel.passive.sum()) for each in source.panels)
    if passive:
        pings = sum(each.panel.pings.size for each in source.panels)
        notes.append(f"{passive} of {pings} pings are passive (light blue)")
    return Echogram(drawn, source.vertical, every, notes)


def _drawn(each: GriddedPanel, floor: Floats | None, every: int, source: Gridded) -> DrawnPanel:
    panel = each.panel
    first, _, finest = each.extent
    last = each.last
    if floor is not None and source.vertical != "sample":
        last = min(last, float(np.nanmax(floor)) * (1 + _BELOW_THE_SEA_FLOOR))
    grid = grid_over(0.0 if source.vertical == "depth" else first, last, finest, MAX_BINS)
    means, ends = column_means(each.means(grid, every), panel.pings.size, every, grid.count)
    values = in_decibels(means) if each.is_decibel else means
    limits = SV_LIMITS if each.quantity == SV_LABEL else percentiles(values)
    return DrawnPanel(
        title=f"{panel.label}, {panel.pulse}, {panel.pings.size:,} pings",
        quantity=each.quantity,
        limits=limits,
        times=panel.times[ends],
        numbers=panel.pings[ends],
        values=values,
        grid=grid,
        passive=panel.passive[ends[:, 0]] | panel.passive[ends[:, 1]],
        colours=None if each.quantity == SV_LABEL else "viridis",
        sea_floor=None if floor is None or source.vertical == "sample" else floor[ends[:, 0]],
    )


def column_means(
    parts: Iterable[tuple[NDArray[np.intp], Linear]], pings: int, every: int, bins: int
) -> tuple[Linear, NDArray[np.intp]]:
    """Average pings into at most MAX_COLUMNS columns.

    Args:
        parts: places of pings, each `every`-th of `pings` in ascending order, and their
            values by bin; NaN where there is no sample.
        pings: number of pings.
        every: which of them are in `parts`.
        bins: number of bins.

    Returns:
        The means (columns by bins), and the places of each column's first and last ping.
    """
    kept = -(-pings // every)
    count = min(MAX_COLUMNS, kept)
    column_of = np.arange(kept) * count // max(1, kept)
    sums, numbers = (np.zeros((count, bins), np.float32) for _ in range(2))
    for places, means in parts:
        known = np.isfinite(means)
        columns, firsts = np.unique(column_of[places // every], return_index=True)
        sums[columns] += np.add.reduceat(np.where(known, means, np.float32(0)), firsts, axis=0)
        numbers[columns] += np.add.reduceat(known.astype(np.float32), firsts, axis=0)
    firsts = np.searchsorted(column_of, np.arange(count)) * every
    lasts = np.append(firsts[1:], kept * every)[:count] - every
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / numbers, np.column_stack([firsts, lasts]).astype(np.intp)


def every_ping_note(every: int) -> list[str]:
    """What a reader must know if pings are left out."""
    return [f"only one of {every} pings is shown"] if every > 1 else []


def _not_calibrated(manifest: Mapping[str, Any], source: Gridded) -> str:
    """The labels of channels whose calibration is the maker's default, by the manifest's facts."""
    named = {
        channel
        for fact in manifest.get("quality", [])
        if fact["name"] == "default_calibration"
        for channel in fact["channels"]
    }
    labels = [each.panel.label for each in source.panels if each.panel.channel_id in named]
    return "all channels" if len(labels) == len(source.panels) else ", ".join(labels)


def percentiles(values: NDArray[np.float32]) -> tuple[float, float]:
    """Limits that a few outliers do not affect: the 2nd and 98th percentile."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return (0.0, 1.0)
    low, high = np.percentile(known, (2, 98))
    return (float(low), float(max(high, low + 1)))

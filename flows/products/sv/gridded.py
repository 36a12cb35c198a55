"""The panels of an output, ready to be averaged into a grid of depths, ranges or sample numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.products.sv.calibration import ChannelCalibration, calibrate_first_pings
from flows.products.sv.depth_bins import Linear, VerticalGrid, bin_means
from flows.products.sv.echopype_sv import NotCalibratedError
from flows.products.sv.group_parts import GroupParts
from flows.products.sv.panels import Floats, Ints, Panel, Times, panels_of
from flows.products.sv.platform import transducer_depths

SV_LABEL = "Sv (dB re 1 m⁻¹)"
LEVEL_LABEL, COUNTS_LABEL = "recorded level (dB)", "recorded counts"
# Samples of FM count so many times, for their compression.
_FM_COST = 2
# A channel's ping is repeated in the columns of others that ping in turn, for so many of its intervals.
_REPEATED = 1.5


@dataclass(eq=False)
class GriddedPanel:
    """A panel ready to be averaged into depths or ranges.

    Attributes:
        offsets: what is added to its ranges: the depth of the transducer at each ping.
        is_cut: whether a ping that was averaged reaches farther than `last`.
    """

    panel: Panel
    calibration: ChannelCalibration
    offsets: Floats
    is_cut: bool = False

    @cached_property
    def extent(self) -> tuple[float, float, float]:
        """First, last and finest step of its samples on the vertical axis, of some of its pings.

        Found when the panel is drawn, so that the samples that it needs are read once.
        """
        first, last, finest = self.calibration.extent()
        size = self.offsets.size
        least, most = (self.offsets.min(), self.offsets.max()) if size else (0.0, 0.0)
        return first + least, last + most, finest

    @cached_property
    def last(self) -> float:
        """Where its samples end."""
        return self.extent[1]

    def means(
        self, grid: VerticalGrid, every: int = 1
    ) -> Iterator[tuple[NDArray[np.intp], Linear]]:
        """Places of pings, and their linear means by bin; passive pings have none."""
        for block in self.calibration.blocks(every):
            values = block.linear
            values[self.panel.passive[block.places]] = np.nan
            start = block.start + self.offsets[block.places]
            if block.places.size and block.step.min() > 0:
                beyond = int((self.last - start.min()) / block.step.min()) + 2
                self.is_cut |= bool(np.isfinite(values[:, beyond:]).any())
            yield block.places, bin_means(values, start, block.step, grid)

    @property
    def is_decibel(self) -> bool:
        """Whether its values are dB, which are averaged linearly; counts of an AZFP are not."""
        return self.calibration.is_calibrated or self.panel.encoding != "counts"

    @property
    def quantity(self) -> str:
        """Of its values, with the unit."""
        if self.calibration.is_calibrated:
            return SV_LABEL
        return LEVEL_LABEL if self.is_decibel else COUNTS_LABEL


@dataclass(eq=False)
class Gridded:
    """All panels of an output, as Sv by depth or range, or as recorded samples by their number."""

    panels: list[GriddedPanel]
    vertical: str
    notes: list[str]

    def cut_notes(self) -> list[str]:
        """Which panels have pings that reach farther than their grid."""
        return [
            f"{each.panel.label}: some pings reach beyond {each.last:.0f} m, which is not shown"
            for each in self.panels
            if each.is_cut
        ]

    def cost(self) -> int:
        """Samples to read, those of FM counted as their compression costs."""
        return sum(
            each.panel.pings.size
            * each.calibration.samples_a_ping()
            * (_FM_COST if each.panel.encoding == "complex_FM" else 1)
            for each in self.panels
        )


def gridded(echodata: Any) -> Gridded:  # noqa: ANN401 - echopype ships no types
    """Find the panels of an output and what can be computed of them."""
    panels = panels_of(echodata)
    parts = {group: GroupParts(echodata, group) for group in {panel.group for panel in panels}}
    reasons: list[str] = []
    for is_calibrated in (True, False):
        found: list[GriddedPanel] = []
        notes: list[str] = []
        depths = [transducer_depths(echodata, panel) for panel in panels]
        is_depth = is_calibrated and all(depth is not None for depth in depths) and bool(depths)
        calibrations = [
            ChannelCalibration(echodata, panel, parts[panel.group], is_calibrated=is_calibrated)
            for panel in panels
        ]
        calibrate_first_pings(calibrations)
        for panel, depth, calibration in zip(panels, depths, calibrations, strict=True):
            try:
                calibration.check()
            except NotCalibratedError as error:
                notes.append(f"{panel.label}: no Sv, because {error}")
                continue
            offsets = depth if is_depth and depth is not None else np.zeros(panel.pings.size)
            found.append(GriddedPanel(panel, calibration, offsets))
        if found or not panels:
            vertical = ("depth" if is_depth else "range") if is_calibrated else "sample"
            if not is_calibrated:
                notes = list(dict.fromkeys([*reasons, "what was recorded is shown"]))
            elif is_depth:
                deep = [each.offsets.mean() for each in found if each.offsets.size]
                notes += [f"depth with the transducers at {_several(deep)} m"] if deep else []
            else:
                notes.append("range from the transducer: the file has no draft")
            return Gridded(found, vertical, notes)
        reasons = [note.partition(": ")[2] for note in notes]
    raise AssertionError("recorded levels need no calibration")


def _several(values: list[float]) -> str:
    ends = dict.fromkeys(f"{value:.1f}" for value in (min(values), max(values)))
    return " to ".join(ends)


def source_of_columns(
    each: GriddedPanel, times: Times, longest: GriddedPanel, columns: Ints
) -> Ints:
    """The place of the panel's ping in each column; -1 where it has none.

    Channels that ping in turn have one ping each between two columns.
    """
    panel = each.panel
    if np.array_equal(panel.times, longest.panel.times):
        return columns
    own = np.maximum.accumulate(panel.times.astype("datetime64[ns]").astype(np.int64))
    starts = np.maximum.accumulate(times.astype("datetime64[ns]").astype(np.int64))
    intervals = np.diff(own)
    usual = float(np.median(intervals)) if intervals.size else 0.0
    ends = np.append(starts[1:], starts[-1] + usual if starts.size else 0)
    found = np.searchsorted(own, ends, side="left") - 1
    age = starts - own[np.maximum(found, 0)]
    return np.where((found >= 0) & (age <= _REPEATED * usual), found, -1)

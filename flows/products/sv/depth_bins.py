"""Averages samples into a regular grid of depths or ranges, linearly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.products.sv.panels import Floats, Ints

Linear = NDArray[np.float32]


@dataclass(frozen=True)
class VerticalGrid:
    """`count` bins of `step` metres (or samples); the first begins at `start`."""

    start: float
    step: float
    count: int

    @property
    def stop(self) -> float:
        """The end of the last bin."""
        return self.start + self.step * self.count

    @property
    def edges(self) -> Floats:
        """The bins' edges (count + 1)."""
        return np.arange(self.count + 1, dtype=np.float64) * self.step + self.start


def grid_over(first: float, last: float, finest: float, most: int) -> VerticalGrid:
    """The grid from `first` to `last` with the finest step that needs at most `most` bins."""
    if not np.isfinite(finest) or last <= first:
        return VerticalGrid(first, 1.0, 1)
    step = max(finest, (last - first) / most)
    return VerticalGrid(first, step, min(most, max(1, int(np.ceil((last - first) / step - 1e-6)))))


def linear(decibels: NDArray[np.float32]) -> Linear:
    """10^(dB/10)."""
    power: Linear = decibels * np.float32(np.log(10) / 10)
    return np.exp(power, out=power)


def in_decibels(values: Linear | Floats) -> NDArray[np.float32]:
    """10 log10; NaN where the value is 0 or NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 10 * np.log10(np.where(values > 0, values, np.nan))
    return found.astype(np.float32)


def first_and_step(ranges: Floats) -> tuple[Floats, Floats]:
    """First range and step of each row; a sample's range is linear in its number."""
    known = np.isfinite(ranges)
    first = known.argmax(axis=1)
    last = ranges.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    rows = np.arange(ranges.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        step = (ranges[rows, last] - ranges[rows, first]) / (last - first)
    return ranges[rows, first] - first * step, step


def numbered(columns: Iterable[Floats], size: int) -> Ints:
    """A number for each of `size` rows, the same for equal rows; NaN equals NaN."""
    numbers = np.zeros(size, np.intp)
    for column in columns:
        distinct, own = np.unique(column, return_inverse=True)
        if distinct.size > 1:
            numbers = np.unique(numbers * distinct.size + own, return_inverse=True)[1]
    return numbers


def groups_of(numbers: Ints) -> Iterator[Ints]:
    """The places of each distinct number."""
    for number in np.unique(numbers):
        yield np.flatnonzero(numbers == number)


def bin_means(values: Linear, start: Floats, step: Floats, grid: VerticalGrid) -> Linear:
    """The mean of each ping's samples in each bin.

    A bin narrower than the samples' step has the next sample's value. The samples are
    at `start + step * number`; a bin has those from its first edge to before its last.

    Args:
        values: linear, not dB; NaN where there is no sample (pings by samples).
        start: of the first sample of each ping, in the grid's unit (pings).
        step: from one sample to the next (pings).
        grid: the bins.

    Returns:
        The means, NaN for a bin without samples (pings by bins).
    """
    made = np.full((values.shape[0], grid.count), np.nan, np.float32)
    if not values.size:
        return made
    missing = np.isnan(values)
    power = np.where(missing, np.float32(0), values) if missing.any() else values
    # Pings with the same geometry share the samples of each bin.
    for rows in groups_of(numbered([start, step], start.size)):
        first, spacing = float(start[rows[0]]), float(step[rows[0]])
        if not np.isfinite(first) or not np.isfinite(spacing) or spacing <= 0:
            continue
        every = rows.size == values.shape[0]
        sums, counts = _binned(
            power if every else power[rows],
            missing if every else missing[rows],
            (grid.edges - first) / spacing,
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            made[rows] = sums / counts
    return made


def _binned(power: Linear, missing: NDArray[np.bool_], edges: Floats) -> tuple[Linear, Linear]:
    """Sums and numbers of the samples between edges, which are given as sample numbers."""
    # An edge that rounding puts just behind a sample is that sample's.
    cuts = np.ceil(edges - 1e-6)
    # The last bin ends at its own edge, not at the end of the ping.
    samples = int(np.clip(cuts[-1], 0, power.shape[1]))
    inside = int((cuts[:-1] < samples).sum())
    shape = (len(power), len(edges) - 1)
    sums, counts = np.full(shape, np.nan, np.float32), np.ones(shape, np.float32)
    if not inside or not samples:
        return sums, counts
    # `reduceat` gives a bin without samples the value of the next one.
    first = np.maximum(cuts[:inside], 0).astype(np.intp)
    sums[:, :inside] = np.add.reduceat(power[:, :samples], first, axis=1)
    if missing[:, :samples].any():
        known = (~missing[:, :samples]).astype(np.float32)
        counts[:, :inside] = np.add.reduceat(known, first, axis=1)
    else:
        counts[:, :inside] = np.maximum(np.diff(np.append(first, samples)), 1)
    counts[counts == 0] = np.nan
    sums[:, edges[1:] <= 0] = np.nan
    return sums, counts

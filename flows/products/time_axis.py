"""Where columns are on the horizontal axis: by time, or by ping where time would hide them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flows.products.echogram import DrawnPanel
from flows.products.sv.panels import Floats

# A longer pause than this many usual intervals is drawn as missing pings.
_PAUSE = 3.0


def can_be_drawn_by_time(panels: Sequence[DrawnPanel]) -> bool:
    """Not if the clock goes back, nor if the pings are bursts that would be thin lines."""
    for panel in panels:
        times = panel.times.astype("datetime64[ns]").astype(np.int64)
        steps = np.diff(times[:, 0])
        if (steps < 0).any() or np.isnat(panel.times).any():
            return False
        # Most of the time without pings, which would be thin lines.
        if steps.size > 1 and steps.sum() > 4 * np.median(steps) * steps.size:
            return False
    return True


def positions(panel: DrawnPanel, *, by_time: bool) -> Floats:
    """First and last position of each column on the horizontal axis (columns by 2).

    By time they are seconds since 1970.
    """
    if by_time:
        return panel.times.astype("datetime64[ns]").astype(np.int64) / 1e9
    # Groups of different pings cover the same time.
    share: Floats = panel.numbers / (panel.numbers.max(initial=0) + 1)
    return share


def column_edges(ends: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Edges of the cells that are drawn, and the column in each; -1 for a pause without pings."""
    if not len(ends):
        return np.empty(0), np.empty(0, np.intp)
    gaps = ends[1:, 0] - ends[:-1, 1]
    usual = float(np.median(gaps)) if gaps.size else 0.0
    if usual <= 0:
        usual = float(gaps[gaps > 0].min()) if (gaps > 0).any() else 1e-3
    edges, columns = [ends[0, 0] - usual / 2], []
    for column, last in enumerate(ends[:, 1].tolist()):
        columns.append(column)
        gap = gaps[column] if column < gaps.size else usual
        if gap > _PAUSE * usual:
            edges += [last + usual / 2, last + gap - usual / 2]
            columns.append(-1)
        else:
            edges.append(max(last + gap / 2, edges[-1] + usual * 1e-6))
    return np.array(edges), np.array(columns, np.intp)


def pauses(panel: DrawnPanel, edges: Floats) -> Floats:
    """Where time goes back, or on by much more than usual, between two columns drawn by ping."""
    steps = np.diff(panel.times.astype("datetime64[ns]").astype(np.int64)[:, 0])
    if not steps.size:
        return edges[:0]
    usual = float(np.median(steps))
    return edges[1:-1][(steps < 0) | (steps > _PAUSE * usual)]

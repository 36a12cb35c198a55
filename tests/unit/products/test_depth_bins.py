"""Samples become means of regular bins, on the linear scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.products.depth_bins import VerticalGrid, bin_means, grid_over, in_decibels, linear
from flows.products.viewer_store import halved


@given(
    values=st.lists(
        st.lists(st.floats(0.125, 8.0, width=32) | st.just(float("nan")), min_size=7, max_size=7),
        min_size=1,
        max_size=3,
    ),
    start=st.floats(-3, 9),
    step=st.floats(0.2, 3.0),
    grid=st.builds(VerticalGrid, st.floats(-2, 2), st.floats(0.5, 4.0), st.integers(1, 9)),
)
def test_a_bin_has_the_mean_of_its_samples(
    values: list[list[float]], start: float, step: float, grid: VerticalGrid
) -> None:
    power = np.array(values, np.float32)
    pings = len(power)
    found = bin_means(power, np.full(pings, start), np.full(pings, step), grid)
    places = (grid.edges - start) / step
    # Rounding decides about samples that lie on an edge.
    if (np.abs(places - np.round(places)) < 1e-4).any():
        return
    for number in range(grid.count):
        inside = [s for s in range(7) if places[number] < s < places[number + 1]]
        for ping in range(pings):
            known = [power[ping, s] for s in inside if np.isfinite(power[ping, s])]
            if known:
                assert found[ping, number] == pytest.approx(np.mean(known), rel=1e-5)
            elif inside or places[number + 1] <= 0 or places[number] > 6:
                assert np.isnan(found[ping, number])


def test_heave_does_not_smear_a_layer() -> None:
    """Pings whose transducer is a sample deeper have the layer in the same bin."""
    levels = np.full((2, 40), -90, np.float32)
    levels[0, 20] = levels[1, 18] = -30
    found = bin_means(
        linear(levels), np.array([4.0, 5.0]), np.full(2, 0.5), VerticalGrid(0, 0.5, 48)
    )
    assert np.nanargmax(found, axis=1).tolist() == [28, 28]
    assert in_decibels(found)[:, 28] == pytest.approx(-30, abs=1e-4)
    assert np.isnan(found[:, :8]).all(), "above the transducer there is nothing"


def test_means_are_taken_of_energy_not_of_decibels() -> None:
    levels = np.array([[-60, -40, -50, np.nan]], np.float32)
    found = in_decibels(bin_means(linear(levels), np.zeros(1), np.ones(1), VerticalGrid(0, 2, 2)))
    assert found[0] == pytest.approx([10 * np.log10((1e-6 + 1e-4) / 2), -50], abs=1e-4)
    power = linear(np.array([[-60, -40], [-50, -50]], np.float32))
    pyramid = in_decibels(halved(halved(power, 0), 1))
    assert pyramid[0, 0] == pytest.approx(10 * np.log10((1e-6 + 1e-4 + 2e-5) / 4), abs=1e-4)
    # A cell without a sample, and an odd end, do not count.
    assert halved(np.array([[4.0, 0.0, 3.0]], np.float32), 1).tolist() == [[4.0, 3.0]]


def test_a_grid_is_as_fine_as_the_samples_unless_that_is_too_many() -> None:
    assert grid_over(0, 100, 0.5, 1000) == VerticalGrid(0, 0.5, 200)
    coarse = grid_over(0, 100, 0.01, 1000)
    assert coarse.count == 1000
    assert coarse.stop == pytest.approx(100)

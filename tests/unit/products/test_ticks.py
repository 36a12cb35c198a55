"""Ticks are round numbers and times, few enough to be read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.products.drawing.ticks import number_ticks, time_ticks


@given(first=st.floats(-1e4, 1e4), span=st.floats(1e-3, 1e5), most=st.integers(3, 12))
def test_number_ticks_are_few_and_their_labels_are_their_places(
    first: float, span: float, most: int
) -> None:
    ticks = number_ticks(first, first + span, most)
    assert most // 3 <= len(ticks) <= most + 1
    for place, label in ticks:
        assert first - 1e-6 * span <= place <= first + span * (1 + 1e-6)
        assert float(label.replace("\N{MINUS SIGN}", "-")) == pytest.approx(place, abs=1e-9)
    assert len({label for _, label in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("seconds", "labels", "days"),
    [
        (2.0, ["23:59:58.5", "23:59:59.0"], "2007-07-23 to 2007-07-24"),
        (40.0, ["00:00:00", "00:00:05"], "2007-07-23 to 2007-07-24"),
        (3000.0, ["07-24", "00:10"], "2007-07-23 to 2007-07-24"),
        (90_000.0, ["07-24", "03:00"], "2007-07-23 to 2007-07-25"),
        (4e6, ["2007-07-26", "2007-08-05"], ""),
        (4e8, ["2008-05-01"], ""),
    ],
)
def test_time_ticks_name_the_time_or_the_day(seconds: float, labels: list[str], days: str) -> None:
    first = float(np.datetime64("2007-07-23T23:59:58", "s").astype(np.int64))
    ticks, beside = time_ticks(first, first + seconds, 9)
    assert 3 <= len(ticks) <= 10
    found = [label for _, label in ticks]
    assert set(labels) <= set(found)
    assert beside == days
    assert all(first <= place <= first + seconds for place, _ in ticks)


def test_no_span_has_no_ticks() -> None:
    assert number_ticks(1.0, 1.0, 5) == []
    assert number_ticks(0.0, math.nan, 5) == []

"""The choice of pings that are compared with echopype's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.rawfile.oracle import chosen_pings
from flows.walk.sample_index import POWER, SampleIndex


def index_of(pings: list[tuple[int, int, int]]) -> Any:
    """Channel, time in ns and number of samples of each ping."""
    channel, time, count = (
        np.array(column, np.int64) for column in (zip(*pings, strict=True) if pings else ((),) * 3)
    )
    number = np.arange(len(pings), dtype=np.int64)
    index = SampleIndex(
        names=("a", "b"),
        header=0,
        channel=channel,
        times=time.astype("datetime64[ns]"),
        offset=number,
        end=number + 1,
        transmit=number * 0 - 1,
        count=count,
        kind=number * 0 + POWER,
    )
    return SimpleNamespace(pings=index)


PINGS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 9)), max_size=40)


@given(PINGS, st.integers(0, 99))
def test_of_two_pings_of_one_channel_and_time_neither_is_compared(
    pings: list[tuple[int, int, int]], seed: int
) -> None:
    keys = [ping[:2] for ping in pings]
    chosen = chosen_pings(index_of(pings), seed=seed).tolist()
    assert all(keys.count(keys[row]) == 1 for row in chosen)
    # For each channel with other pings, the first, the last and a widest one are chosen.
    for channel in (0, 1):
        alone = [r for r, key in enumerate(keys) if key[0] == channel and keys.count(key) == 1]
        if alone:
            assert {alone[0], alone[-1]} <= set(chosen)
            widest = max(pings[row][2] for row in alone)
            assert any(pings[row][2] == widest for row in chosen if keys[row][0] == channel)

from __future__ import annotations

import math

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.encoding.chunking import (
    CHUNK_BYTES,
    LARGE_ELEMENTS,
    ChunksNotUsableError,
    Extent,
    check_requested_chunks,
    chunk_lengths,
    chunk_regions,
)
from flows.publishing.chunk_sample import chunks_to_decode

SAMPLES = ("channel", "ping_time", "range_sample")
PINGS = ("channel", "ping_time")


def power_of(pings: int, channels: int = 4, samples: int = 2604) -> dict[str, Extent]:
    return {
        "backscatter_r": (SAMPLES, (channels, pings, samples), 8),
        "angle_alongship": (SAMPLES, (channels, pings, samples), 1),
        "sample_interval": (PINGS, (channels, pings), 8),
        "ping_time": (("ping_time",), (pings,), 8),
        "water_level": ((), (), 8),
    }


def test_a_small_file_has_one_chunk_a_variable() -> None:
    chunks = chunk_lengths(power_of(36))
    assert chunks["backscatter_r"] == (4, 36, 2604)
    assert chunks["angle_alongship"] == (4, 36, 2604)
    assert chunks["water_level"] == ()


@settings(deadline=None)
@given(pings=st.integers(1, 10**6), channels=st.integers(1, 12), samples=st.integers(1, 20_000))
def test_sample_chunks_hold_one_channel_whole_range_and_fit(
    pings: int, channels: int, samples: int
) -> None:
    variables = power_of(pings, channels, samples)
    chunks = chunk_lengths(variables)
    own = chunks["backscatter_r"]
    assert chunks["angle_alongship"] == own, "backscatter and angles are cut alike"
    assert own[2] == samples
    assert math.prod(own) * 8 <= CHUNK_BYTES
    if own != (channels, pings, samples):
        assert own[0] == 1
        parts = math.ceil(pings / own[1])
        assert parts == math.ceil(pings / (CHUNK_BYTES // (samples * 8))), "the fewest parts"
        assert parts * own[1] - pings < parts, "parts of equal length"


def test_samples_of_several_sectors_stay_together() -> None:
    extent: Extent = ((*SAMPLES, "beam"), (5, 1000, 7490, 4), 8)
    variables = {"backscatter_r": extent, "backscatter_i": extent}
    chunks = chunk_lengths(variables)
    assert chunks["backscatter_r"] == chunks["backscatter_i"] == (1, 250, 7490, 4)
    limited = chunk_lengths(variables, limit=CHUNK_BYTES // 4)["backscatter_r"]
    assert math.prod(limited) * 8 <= CHUNK_BYTES // 4


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(1, 9)), max_size=3).map(
        lambda pairs: ([s for s, _ in pairs], [c for _, c in pairs])
    )
)
def test_regions_cover_every_element_once(extent: tuple[list[int], list[int]]) -> None:
    shape, lengths = extent
    seen = np.zeros(shape, int)
    for index, region in chunk_regions(shape, lengths):
        assert all(i * c == s.start for i, c, s in zip(index, lengths, region, strict=True))
        seen[region] += 1
    assert (seen == 1).all()


def test_requested_chunks_apply_only_to_samples() -> None:
    chunks = chunk_lengths(power_of(2000), {"ping_time": 1000, "channel": -1})
    assert chunks["backscatter_r"] == (4, 1000, 2604)
    assert chunks["sample_interval"] == (4, 2000)


def test_an_empty_dimension_has_chunks_of_one() -> None:
    assert chunk_lengths({"cpu": (("cpu",), (0,), 8)}) == {"cpu": (1,)}
    assert list(chunk_regions((0,), (1,))) == []


def test_a_long_series_is_cut_along_its_length() -> None:
    pings = 10 * CHUNK_BYTES // (4 * 8)
    assert chunk_lengths(power_of(pings))["sample_interval"] == (4, pings // 10)


@pytest.mark.parametrize("length", [0, -2])
def test_impossible_lengths_are_refused_by_name(length: int) -> None:
    with pytest.raises(ChunksNotUsableError, match="ping_time"):
        chunk_lengths(power_of(36), {"ping_time": length})


def test_an_unknown_dimension_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ChunksNotUsableError, match=r"ping_tiem.*channel, ping_time, range_sample"):
        check_requested_chunks([{}, power_of(36)], {"ping_tiem": 10})
    check_requested_chunks([{}, power_of(36)], {"ping_time": 10})


@pytest.mark.parametrize("chunks", [1, 2, 3, 40])
def test_the_last_chunk_and_others_by_chance_are_decoded(chunks: int) -> None:
    array = zarr.zeros((chunks, LARGE_ELEMENTS), chunks=(1, LARGE_ELEMENTS), dtype="i1")
    chosen = chunks_to_decode({"a": array}, all_of_them=False)
    assert f"a/c/{chunks - 1}/0" in chosen
    assert len(chosen) == min(chunks, 2)
    assert len(chunks_to_decode({"a": array}, all_of_them=True)) == chunks
    if chunks == 40:
        tries = {frozenset(chunks_to_decode({"a": array}, all_of_them=False)) for _ in range(50)}
        assert len(tries) > 5

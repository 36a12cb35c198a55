from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flows.chunking import chunk_regions
from flows.swapped_samples import SwappedSamples

SHAPE = (3, 40, 5)


class CountedLoads:
    """An array-like whose blocks tell when they are loaded."""

    def __init__(self) -> None:
        self.values: NDArray[np.float64] = np.arange(600.0).reshape(SHAPE)
        self.loads: list[Any] = []
        self.shape, self.dtype, self.ndim = self.values.shape, self.values.dtype, 3

    def __getitem__(self, key: Any) -> NDArray[Any]:
        self.loads.append(key)
        return np.asarray(self.values[key])


@settings(deadline=None, max_examples=30)
@given(
    blocks=st.tuples(st.integers(1, 3), st.integers(6, 40), st.integers(2, 5)),
    lengths=st.integers(4, 40),
)
def test_every_region_is_what_the_array_holds(blocks: tuple[int, ...], lengths: int) -> None:
    source = np.arange(600.0).reshape(SHAPE)
    array = dask.array.from_array(source, chunks=blocks)  # type: ignore[no-untyped-call] # dask has no types
    samples = SwappedSamples(array)
    for _, region in chunk_regions(SHAPE, (2, lengths, 5)):
        assert (samples[region] == source[region]).all()


def test_a_block_is_loaded_once_while_regions_come_in_order() -> None:
    source = CountedLoads()
    array = dask.array.from_array(source, chunks=(1, 20, 5), asarray=False)  # type: ignore[no-untyped-call] # dask has no types
    samples = SwappedSamples(array)
    source.loads.clear()
    for _, region in chunk_regions(SHAPE, (1, 7, 5)):
        assert (samples[region] == source.values[region]).all()
    assert len(source.loads) == 6
    samples.forget()
    samples[0:1, 0:1, 0:1]
    assert len(source.loads) == 7

"""Samples that echopype swapped to disk, read without loading a block twice."""

from __future__ import annotations

import threading
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A chunk to be written may straddle two blocks of the swap.
_BLOCKS_KEPT = 2


class SwappedSamples:
    """Regions of a dask array, through the last blocks that were computed.

    echopype's swap has blocks of up to `max_chunk_size` bytes, several times
    what is written as one chunk: asked region by region, dask would load each
    block again for each. Blocks are kept while regions come in order.
    """

    def __init__(self, array: Any) -> None:  # noqa: ANN401 - dask ships no types
        self._array = array
        self._bounds = [[0, *np.cumsum(lengths).tolist()] for lengths in array.chunks]
        self._kept: dict[tuple[int, ...], NDArray[Any]] = {}
        self._lock = threading.Lock()
        self.dtype: np.dtype[Any] = array.dtype

    def __getitem__(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """The values of one region of plain slices with start and stop."""
        values = np.empty(tuple(s.stop - s.start for s in region), self.dtype)
        for index in product(*map(_touched, self._bounds, region)):
            low = [bounds[i] for bounds, i in zip(self._bounds, index, strict=True)]
            high = [bounds[i + 1] for bounds, i in zip(self._bounds, index, strict=True)]
            common = [
                slice(max(s.start, a), min(s.stop, b))
                for s, a, b in zip(region, low, high, strict=True)
            ]
            target = tuple(
                slice(c.start - s.start, c.stop - s.start)
                for c, s in zip(common, region, strict=True)
            )
            source = tuple(slice(c.start - a, c.stop - a) for c, a in zip(common, low, strict=True))
            values[target] = self._block(index)[source]
        return values

    def forget(self) -> None:
        """Release the blocks kept; they are computed anew if asked for."""
        with self._lock:
            self._kept.clear()

    def _block(self, index: tuple[int, ...]) -> NDArray[Any]:
        with self._lock:
            block = self._kept.pop(index, None)
            if block is None:
                while len(self._kept) >= _BLOCKS_KEPT:
                    del self._kept[next(iter(self._kept))]
                # In this thread: the pool that encodes is parallel already.
                block = np.asarray(self._array.blocks[index].compute(scheduler="synchronous"))
            self._kept[index] = block
            return block


def _touched(bounds: list[int], part: slice) -> list[int]:
    """The numbers of the blocks that `part` of one dimension lies in."""
    return [i for i, (a, b) in enumerate(pairwise(bounds)) if a < part.stop and part.start < b]

"""Rows of a chunk that Blosc has compressed: only the blocks that they lie in are decoded.

A body of Blosc has a header of 16 bytes, then where each block begins, then the blocks,
which are compressed each for itself (README_CHUNK_FORMAT.rst of c-blosc 1.21). Some of them, with
a header that counts only these, are a body too.
"""

from __future__ import annotations

import struct

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

#: Version, flags, size of a value, bytes, bytes of a block, compressed bytes.
_HEADER = struct.Struct("<BBBBIII")
_IS_STORED = 0x2
# Of more blocks than this share, all are decoded: that needs no copy.
_MOST = 0.8


class Scratch:
    """Memory to decode into, again and again: new memory of the system costs as much as the decoding."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def of(self, size: int) -> NDArray[np.uint8]:
        """So many bytes, until the next call."""
        if self._bytes.size < size:
            self._bytes = np.empty(size, np.uint8)
        return self._bytes[:size]


def decoded_rows(
    body: bytes | memoryview, row: NDArray[np.generic], numbers: NDArray[np.intp], scratch: Scratch
) -> NDArray[np.generic]:
    """Some rows of a chunk.

    Args:
        body: of one chunk, compressed by Blosc.
        row: an array of a row's shape and dtype.
        numbers: of the rows (n).
        scratch: is used meanwhile.

    Returns:
        n rows.
    """
    begins = numbers * row.nbytes
    version, inner, flags, size, total, block, _ = _HEADER.unpack_from(body)
    count = -(-total // block) if block else 0
    if not numbers.size or flags & _IS_STORED or row.nbytes == 0 or count < 2:
        return _of_all(body, row, numbers, scratch)
    is_needed = np.zeros(count + 1, np.intp)
    np.add.at(is_needed, begins // block, 1)
    np.add.at(is_needed, (begins + row.nbytes - 1) // block + 1, -1)
    needed = np.flatnonzero(np.cumsum(is_needed[:-1]))
    if needed.size == 1:
        # The last block may be shorter than a block, which a body alone may not be.
        needed = np.array([max(0, int(needed[0]) - 1), max(1, int(needed[0]))])
    if needed.size > count * _MOST:
        return _of_all(body, row, numbers, scratch)
    starts = np.frombuffer(body, "<i4", count, _HEADER.size)
    # Threads may have written the blocks in any order.
    ends = dict(zip(np.sort(starts), [*np.sort(starts)[1:], len(body)], strict=True))
    view = memoryview(body)
    parts = [view[starts[number] : ends[starts[number]]] for number in needed.tolist()]
    lengths = np.cumsum([_HEADER.size + 4 * needed.size, *map(len, parts)])
    less = block * count - total if needed[-1] == count - 1 else 0
    kept = needed.size * block - less
    header = _HEADER.pack(version, inner, flags, size, kept, block, int(lengths[-1]))
    some = b"".join([header, lengths[:-1].astype("<i4").tobytes(), *parts])
    decoded = scratch.of(kept)
    blosc.decompress(some, decoded)
    first = np.searchsorted(needed, begins // block) * block + begins % block
    found = np.empty((numbers.size, row.nbytes), np.uint8)
    for place, begin in enumerate(first.tolist()):
        found[place] = decoded[begin : begin + row.nbytes]
    return found.view(row.dtype).reshape(-1, *row.shape)


def _of_all(
    body: bytes | memoryview, row: NDArray[np.generic], numbers: NDArray[np.intp], scratch: Scratch
) -> NDArray[np.generic]:
    decoded = scratch.of(_HEADER.unpack_from(body)[4])
    blosc.decompress(body, decoded)
    return decoded.view(row.dtype).reshape(-1, *row.shape)[numbers]

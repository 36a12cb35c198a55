"""Rows of a chunk that Blosc has compressed: only the blocks that they lie in are decoded.

A body of Blosc has a header of 16 bytes, then where each block begins, then the blocks,
which are compressed each for itself (README_CHUNK_FORMAT.rst of c-blosc 1.21). One of them, with
a header that counts only this one, is a body too, and stays in the processor's cache until its rows
are copied.
"""

from __future__ import annotations

import struct
from itertools import accumulate

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

#: Version, flags, size of a value, bytes, bytes of a block, compressed bytes.
_HEADER = struct.Struct("<BBBBIII")
_IS_STORED = 0x2


def decoded_rows(
    body: bytes | memoryview, row: NDArray[np.generic], numbers: NDArray[np.intp]
) -> NDArray[np.generic]:
    """Some rows of a chunk.

    Args:
        body: of one chunk, compressed by Blosc.
        row: an array of a row's shape and dtype.
        numbers: of the rows, ascending (n).

    Returns:
        n rows.
    """
    width, begins = row.nbytes, numbers * row.nbytes
    version, inner, flags, size, total, block, _ = _HEADER.unpack_from(body)
    count = -(-total // block) if block else 0
    if not numbers.size or flags & _IS_STORED or width == 0 or count < 2:
        return np.frombuffer(blosc.decompress(body), row.dtype).reshape(-1, *row.shape)[numbers]
    edges = np.arange(count) * block
    # Of each block, the rows that are at least partly in it.
    firsts = np.searchsorted(begins, edges - width, side="right")
    lasts = np.searchsorted(begins, edges + block)
    starts = np.frombuffer(body, "<i4", count, _HEADER.size).tolist()
    # Threads may have written the blocks in any order.
    ends = dict(zip(sorted(starts), [*sorted(starts)[1:], len(body)], strict=True))
    view, places = memoryview(body), begins.tolist()
    found = np.empty((numbers.size, width), np.uint8)
    decoded = np.empty(2 * block, np.uint8)
    for number in np.flatnonzero(firsts < lasts).tolist():
        # The last block may be shorter than a block, which a body alone may not be.
        first = number - 1 if (number + 1) * block > total else number
        parts = [view[start : ends[start]] for start in starts[first : number + 1]]
        offsets = list(accumulate(map(len, parts), initial=_HEADER.size + 4 * len(parts)))
        edge = first * block
        kept = min((number + 1) * block, total) - edge
        header = _HEADER.pack(version, inner, flags, size, kept, block, offsets.pop())
        header += struct.pack(f"<{len(parts)}i", *offsets)
        blosc.decompress(b"".join([header, *parts]), decoded[:kept])
        for place in range(firsts[number], lasts[number]):
            begin = places[place] - edge
            low, high = max(0, begin), min(kept, begin + width)
            found[place, low - begin : high - begin] = decoded[low:high]
    return found.view(row.dtype).reshape(-1, *row.shape)

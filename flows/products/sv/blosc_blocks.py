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
# Bytes that are decoded at once: they stay in the processor's cache until their rows are copied.
_AT_ONCE = 2**21


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
    begins = numbers * row.nbytes
    version, inner, flags, size, total, block, _ = _HEADER.unpack_from(body)
    count = -(-total // block) if block else 0
    if not numbers.size or flags & _IS_STORED or row.nbytes == 0 or count < 2:
        return np.frombuffer(blosc.decompress(body), row.dtype).reshape(-1, *row.shape)[numbers]
    edges = np.arange(count) * block
    # Of each block, the rows that are at least partly in it.
    firsts = np.searchsorted(begins, edges - row.nbytes, side="right")
    lasts = np.searchsorted(begins, edges + block)
    needed = np.flatnonzero(firsts < lasts)
    starts = np.frombuffer(body, "<i4", count, _HEADER.size)
    # Threads may have written the blocks in any order.
    ends = dict(zip(np.sort(starts), [*np.sort(starts)[1:], len(body)], strict=True))
    view = memoryview(body)
    found = np.empty((numbers.size, row.nbytes), np.uint8)
    for some in np.split(needed, range(0, needed.size, max(1, _AT_ONCE // block)))[1:]:
        if some.tolist() == [count - 1]:
            # The last block may be shorter than a block, which a body alone may not be.
            some = np.array([count - 2, count - 1])  # noqa: PLW2901 - as above
        parts = [view[starts[number] : ends[starts[number]]] for number in some]
        lengths = np.cumsum([_HEADER.size + 4 * some.size, *map(len, parts)])
        kept = some.size * block - (block * count - total if some[-1] == count - 1 else 0)
        header = _HEADER.pack(version, inner, flags, size, kept, block, int(lengths[-1]))
        decoded = np.empty(kept, np.uint8)
        blosc.decompress(b"".join([header, lengths[:-1].astype("<i4").tobytes(), *parts]), decoded)
        for number, own in zip(some.tolist(), range(0, kept, block), strict=True):
            here = decoded[own : own + block]
            rows = slice(firsts[number], lasts[number])
            for place, begin in enumerate((begins[rows] - edges[number]).tolist(), rows.start):
                part = here[max(0, begin) : max(0, begin + row.nbytes)]
                at = max(0, -begin)
                found[place, at : at + part.size] = part
    return found.view(row.dtype).reshape(-1, *row.shape)

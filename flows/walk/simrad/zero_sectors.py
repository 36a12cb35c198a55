"""Finds zeros that a lost disk or transfer block leaves inside a ping's samples.

Such a hole does not affect the length fields around it, so the datagram walk does not
detect it, and echopype converts the zeros as echoes. Lost blocks begin and end at
sectors of 512 bytes; 256 power samples that are all exactly zero do not occur in water.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

SECTOR = 512
BLOCK = 8 << 20
# Complex samples of an idle sector may be zero for a while, so a whole page is required.
COMPLEX_SECTORS = 8

Int64s = npt.NDArray[np.int64]


def zero_sectors(fd: int, size: int, start: Int64s, length: Int64s) -> Int64s:
    """Offsets of the sectors with only zeros, ascending, in the blocks that contain samples."""
    block = bytearray(BLOCK)
    words = np.frombuffer(block, dtype=np.int64).reshape(-1, SECTOR // 8)
    found: list[Int64s] = []
    # Pings are in file order, so their ends ascend too.
    end = start + length
    for position in range(0, size, BLOCK):
        next_ping = int(np.searchsorted(end, position, side="right"))
        if next_ping == start.size or start[next_ping] >= position + BLOCK:
            continue
        read = os.preadv(fd, [block], position)
        # Checking one word of each sector first avoids reading nearly all others.
        candidates = np.flatnonzero(words[: read // SECTOR, 0] == 0)
        zeros = candidates[~words[candidates].any(axis=1)]
        if zeros.size:
            found.append(zeros * SECTOR + position)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def pings_with_zero_sectors(
    fd: int, size: int, start: Int64s, length: Int64s, is_complex: npt.NDArray[np.bool_]
) -> Int64s:
    """Rows of the pings whose samples contain zeroed sectors, ascending.

    Args:
        fd: The open file.
        size: Its size in bytes.
        start: Offset of each ping's samples, ascending.
        length: Bytes of each ping's samples.
        is_complex: Whether they are complex.

    A ping with only zeros comes from a transceiver that was off; it is not a hole.
    """
    if start.size == 0:
        return np.empty(0, dtype=np.int64)
    sectors = zero_sectors(fd, size, start, length)
    row = np.searchsorted(start, sectors, side="right") - 1
    inside = (row >= 0) & (sectors + SECTOR <= (start + length)[row])
    count = np.bincount(row[inside], minlength=start.size)
    possible = np.maximum(length // SECTOR - 1, 1)
    hit = (count >= np.where(is_complex, COMPLEX_SECTORS, 1)) & (count < possible)
    return np.flatnonzero(hit)

"""Searches for the next whole datagram, record or ping after damaged bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

BLOCK = 1 << 20
# No mark may be longer.
LONGEST_MARK = 8


def next_whole(
    fd: int,
    size: int,
    start: int,
    mark: re.Pattern[bytes],
    is_whole: Callable[[int], bool],
    *,
    lead: int = 0,
) -> int | None:
    """The offset of the next whole datagram, record or ping; None if there is none.

    Args:
        fd: The open file.
        size: Its size in bytes.
        start: Where to begin.
        mark: Bytes that it has, `lead` bytes after its beginning; at most
            `LONGEST_MARK` bytes, and matches never overlap.
        is_whole: Whether one begins at an offset; called in ascending order, near a
            block's border twice.
        lead: See `mark`.
    """
    position = start + lead
    while position < size:
        # Blocks overlap, so that a mark across their border is found.
        block = os.pread(fd, BLOCK + LONGEST_MARK - 1, position)
        for match in mark.finditer(block):
            if is_whole(position + match.start() - lead):
                return position + match.start() - lead
        position += BLOCK
    return None

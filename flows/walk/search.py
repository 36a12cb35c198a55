"""Searches for whole records and pings, and for the next whole one after damaged bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from flows.walk.tally import Tally

BLOCK = 1 << 20
# No mark may be longer.
LONGEST_MARK = 8


class Sized(Protocol):
    """A whole record or ping."""

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        ...


Item = TypeVar("Item", bound=Sized)


def whole_items(  # noqa: PLR0917 - two calls, by position
    fd: int,
    tally: Tally,
    start: int,
    read: Callable[[int], Item | str],
    mark: re.Pattern[bytes],
    pings: Callable[[], int],
) -> Iterator[tuple[int, Item]]:
    """The offset of each whole item from `start` on, and the item; other bytes count as damage.

    `read` returns the item at an offset, or the reason why there is none; `mark` is how one begins,
    as for `next_whole`; `pings` is the number of whole pings so far.
    """
    position = start
    while position < tally.size:
        item = read(position)
        if not isinstance(item, str):
            yield position, item
            position += item.size
            continue
        found = next_whole(
            fd, tally.size, position + 1, mark, lambda at: not isinstance(read(at), str)
        )
        end = tally.size if found is None else found
        tally.truncated = found is None and item.startswith("the file ends")
        tally.damage(position, end, item, pings())
        position = end


def next_whole(
    fd: int,
    size: int,
    start: int,
    mark: re.Pattern[bytes],
    is_whole: Callable[[int], bool],
    *,
    lead: int = 0,
) -> int | None:
    """The offset of the next whole datagram, record or ping from `start` on; None if there is none.

    `mark` are the bytes that it has, `lead` bytes after its beginning; at most `LONGEST_MARK` bytes, and
    matches never overlap. `is_whole` is called in ascending order, near a block's border twice.
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

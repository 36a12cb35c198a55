"""Makes a process hold what it frees, because getting it again takes time: for one that ends soon."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The largest array that glibc lets lie in its own memory, and how much of that may be free.
_LARGEST, _LEFT = 2**25, 2**26
# Python looks for cycles that nobody uses after so many new objects, in place of 700. Most of those
# of a process that ends soon are its imports, which stay.
_OBJECTS = 200_000


def hold_memory() -> None:
    """Collect garbage rarely, and give the system little memory back: it clears each page again.

    Without glibc, memory is given back as before.
    """
    gc.set_threshold(_OBJECTS)
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_M_TRIM_THRESHOLD, _LEFT)
        # What one thread has freed is free for all: the chunks are read by several.
        libc.mallopt(_M_ARENA_MAX, 1)

"""Keeps memory that was freed for the next arrays, in a process that makes many of the same size."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The largest array that glibc lets lie in its own memory, and how much of that may be free.
_LARGEST, _LEFT = 2**25, 2**26


def keep_freed_memory() -> None:
    """Give less freed memory back to the system, which clears each page before it gives it again.

    Without glibc nothing changes.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_M_TRIM_THRESHOLD, _LEFT)
        # What one thread has freed is free for all: the chunks are read by several.
        libc.mallopt(_M_ARENA_MAX, 1)

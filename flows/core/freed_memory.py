"""Keeps memory that was freed for the next arrays, in a process that makes many of the same size."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# malloc.h of glibc, and the largest size that it takes from its own memory.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 32 * 2**20


def keep_freed_memory() -> None:
    """Do not give freed memory back to the system, which clears each page that it gives again.

    For a process that ends soon. Without glibc nothing changes.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)

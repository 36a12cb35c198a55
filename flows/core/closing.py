"""Closes an opened raw file, which deletes the local copy that samples are read from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def closed(opened: T) -> Iterator[T]:
    """Close `opened` when the block ends, also on an error; a Skipped has nothing to close."""
    try:
        yield opened
    finally:
        close = getattr(opened, "close", None)
        if close is not None:
            close()

"""Give back what an opened raw file holds: its local copy, from which samples are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def closed(opened: T) -> Iterator[T]:
    """Close what was opened when the block ends, however it does; what was skipped holds nothing."""
    try:
        yield opened
    finally:
        close = getattr(opened, "close", None)
        if close is not None:
            close()

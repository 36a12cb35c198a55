"""Samples on disk while a file converts whose samples would not fit in memory.

echopype parses Simrad files into temporary Zarr stores on request. It leaves
them behind on many ways out (an error while it parses, a signal), so they go
into a folder that the conversion owns and removes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flows.memory_model import peak_bytes

T = TypeVar("T")


@dataclass(frozen=True)
class MemoryPlan:
    """What a conversion is expected to take, and whether it swaps.

    Attributes:
        expected_bytes: memory at its peak, by `flows/memory_model.py`.
        usable_bytes: what the task has for it.
        swap: whether the samples go to disk.
    """

    expected_bytes: int
    usable_bytes: int
    swap: bool

    def as_json(self) -> dict[str, Any]:
        """The manifest's `memory`."""
        return {
            "expected_bytes": self.expected_bytes,
            "usable_bytes": self.usable_bytes,
            "swap": self.swap,
        }


def memory_plan(
    sonar_model: str, file_bytes: int, usable_bytes: int, *, use_swap: bool | None = None
) -> MemoryPlan:
    """Swap where the file would not fit otherwise, and swapping takes less.

    use_swap: True or False is obeyed, as far as the sonar model can swap.
    """
    in_memory = peak_bytes(sonar_model, file_bytes)
    swapped = peak_bytes(sonar_model, file_bytes, use_swap=True)
    can = swapped != in_memory
    swap = can and (
        use_swap if use_swap is not None else in_memory > usable_bytes and swapped < in_memory
    )
    return MemoryPlan(swapped if swap else in_memory, usable_bytes, swap)


class SwapFolder:
    """A folder for one parsed file's swapped samples, gone when closed or forgotten."""

    def __init__(self) -> None:
        # Its own finalizer removes it at the interpreter's end at the latest.
        self._folder = tempfile.TemporaryDirectory(prefix="echodrop-swap-")
        self.path = Path(self._folder.name)

    @contextmanager
    def taken_by_echopype(self) -> Iterator[None]:
        """Let echopype swap into this folder.

        It is echopype's for the whole process: the caller sees to it that one file
        is parsed at a time.
        """
        from echopype.utils import io  # noqa: PLC0415 - takes seconds; who swaps has paid that

        before = io.ECHOPYPE_TEMP_DIR
        io.ECHOPYPE_TEMP_DIR = self.path
        try:
            yield
        finally:
            io.ECHOPYPE_TEMP_DIR = before

    def close(self) -> None:
        """Remove it with all that is in it."""
        self._folder.cleanup()


@contextmanager
def swap_removed(opened: T) -> Iterator[T]:
    """Remove what was swapped for a parsed file (its `swap`) when the block ends, however it does."""
    try:
        yield opened
    finally:
        swap = getattr(opened, "swap", None)
        if isinstance(swap, SwapFolder):
            swap.close()

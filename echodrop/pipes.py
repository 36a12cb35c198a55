"""A reader that stops reading, as `head` does, is not an error of the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End quietly if nobody reads the output that is still in the buffer."""
    try:
        yield
    finally:
        if (out := sys.__stdout__) is not None:
            try:
                out.flush()
            except BrokenPipeError:
                # Python flushes once more when it ends, and would report the error then.
                os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())

"""Waiting for something to become true, with an end."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(
    look: Callable[[], Value | bool | None],
    within: float,
    what: str,
    *,
    every: float = 0.1,
    told: Callable[[], str] | None = None,
) -> Value:
    """Call `look` until it returns something true, and return that.

    Args:
        look: what to call.
        within: seconds after which to give up.
        what: what is waited for, for the error.
        every: seconds between two looks.
        told: called when giving up; its text (say, what was there instead) ends
            the error.

    Raises:
        TimeoutError: it did not become true in time.
    """
    end = time.monotonic() + within
    while True:
        # The last look begins after the end: this process may have stood still.
        is_last = time.monotonic() > end
        if seen := look():
            return seen  # type: ignore[return-value]  # mypy keeps True in the union
        if is_last:
            instead = f"; instead: {told()}" if told else ""
            raise TimeoutError(f"waited {within:.0f} s for {what}{instead}")
        time.sleep(every)

"""Waits for a condition with a timeout."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(
    look: Callable[[], Value | bool | None],
    within: float,
    what: str,
    *,
    every: float = 0.2,
    describe: Callable[[], str] | None = None,
) -> Value:
    """Call `look` until it returns a true value, and return that value.

    `within` and `every` are in seconds. The error names `what` is awaited, and what `describe`
    returns: the actual state.

    Raises:
        TimeoutError: the timeout has passed.
    """
    end = time.monotonic() + within
    while True:
        # Always look once more after the timeout: this process may have been suspended.
        is_last = time.monotonic() > end
        if seen := look():
            return seen  # type: ignore[return-value]  # mypy keeps True in the union
        if is_last:
            instead = f"; instead: {describe()}" if describe else ""
            raise TimeoutError(f"waited {within:.0f} s for {what}{instead}")
        time.sleep(every)

"""Deadlines: every wait of the trigger ends before its invocation does."""

import random
import time

from lambda_trigger.clients.transport_errors import OutOfTimeError

# Seconds reserved for the answer at the end of an invocation.
RESERVE = 0.5


class Deadline:
    """The time at which all waiting ends. Times are in seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left; negative after the deadline."""
        return self._end - time.monotonic()

    def limit(self, seconds: float, service: str, operation: str) -> float:
        """Reduce a time-out to the time left.

        Raises:
            OutOfTimeError: the time left is too short to start anything.
        """
        left = self.left()
        if left < 0.05:
            raise OutOfTimeError(service, operation, "the invocation's time is over")
        return min(seconds, left)

    def pause(self, seconds: float) -> bool:
        """Sleep if time is left afterwards; return whether it slept."""
        if seconds >= self.left() - 0.05:
            return False
        time.sleep(seconds)
        return True


def back_off(attempt: int) -> float:
    """Return the seconds to wait after a failed attempt (from 1): full jitter up to 0.2 s, doubled each time."""
    return random.uniform(0.02, 0.1 * 2**attempt)  # noqa: S311 - jitter is not a secret

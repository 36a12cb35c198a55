"""Time left: everything the trigger waits for ends before its invocation does."""

import random
import time
from collections.abc import Callable

from lambda_trigger.transport_errors import OutOfTimeError

# What reporting the batch needs at the end of an invocation, seconds.
RESERVE = 0.5


class Deadline:
    """A moment that no wait goes beyond. Times are in seconds."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._end = clock() + seconds

    def left(self) -> float:
        """Give the seconds left; negative once it is over."""
        return self._end - self._clock()

    def limit(self, seconds: float, service: str, operation: str) -> float:
        """Cut a time-out to what is left.

        Raises:
            OutOfTimeError: when too little is left to begin anything.
        """
        left = self.left()
        if left < 0.05:
            raise OutOfTimeError(service, operation, "the invocation's time is over")
        return min(seconds, left)

    def pause(self, seconds: float) -> bool:
        """Sleep, if that leaves time to do something after it; say whether it did."""
        if seconds >= self.left() - 0.05:
            return False
        self._sleep(seconds)
        return True


def back_off(attempt: int) -> float:
    """Give the seconds to wait after the attempt-th failure (from 1): full jitter up to 0.2 s, doubled each time."""
    return random.uniform(0.02, 0.1 * 2**attempt)  # noqa: S311 - jitter is no secret

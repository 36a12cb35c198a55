"""Limits the rate of a sender."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Limits a sender to `rate` items a second; None sets no limit.

    A sender that was slower than the rate does not catch up afterwards.
    """

    rate: float | None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, init=False)

    def take(self, count: int = 1) -> None:
        """Wait until `count` more items may be sent."""
        if not self.rate or not count:
            return
        now = self.clock()
        if (wait := self._next - now) > 0:
            self.sleep(wait)
            now = self._next
        self._next = now + count / self.rate

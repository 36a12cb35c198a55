"""So many a second, and no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Holds a sender back to `rate` a second; None lets it run.

    What was missed while the sender was busy elsewhere is not caught up with.
    """

    rate: float | None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, init=False)

    def take(self, count: int = 1) -> None:
        """Wait until `count` more may go."""
        if not self.rate or not count:
            return
        now = self.clock()
        if (wait := self._next - now) > 0:
            self.sleep(wait)
            now = self._next
        self._next = now + count / self.rate

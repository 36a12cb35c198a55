"""Restarts parts that exit, as ECS restarts a service's tasks and RDS its database."""

import time
from collections import Counter
from collections.abc import Iterable

from sandbox.parts.part_set import PartSet

_PAUSE_SECONDS = 1.0


class Supervisor:
    """Restarts the parts of a sandbox whenever `step` is called."""

    def __init__(self, parts: PartSet) -> None:
        self.restarts: Counter[str] = Counter()
        self._parts = parts
        self._down_until: dict[str, float] = {}

    @property
    def down(self) -> Iterable[str]:
        """The parts that wait for their restart."""
        return self._down_until.keys()

    def step(self) -> None:
        """Restart the parts that have been down for long enough, without waiting."""
        now = time.monotonic()
        for name, part in self._parts.items():
            if part.is_running:
                continue
            if name not in self._down_until:
                # A part may exit several times before it can run.
                self._down_until[name] = now + _PAUSE_SECONDS
            elif now >= self._down_until[name]:
                del self._down_until[name]
                part.start()
                self.restarts[name] += 1

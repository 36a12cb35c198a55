"""Starts again what ended unasked, as ECS does for a service's tasks and RDS for its database."""

import contextlib
import time
from collections import Counter

from sandbox.part_set import PartSet
from sandbox.processes import PartDied

_PAUSE_SECONDS = 1.0


class Supervisor:
    """Looks after all parts of a sandbox, whenever `look` is called.

    Attributes:
        started: how often each part was started again.
    """

    def __init__(self, parts: PartSet) -> None:
        self.started: Counter[str] = Counter()
        self._parts = parts
        self._down_until: dict[str, float] = {}

    def kill(self, name: str, down_seconds: float) -> None:
        """SIGKILL a part with all its processes; it is started again after this time at the soonest."""
        self._parts[name].kill()
        back = time.monotonic() + down_seconds
        self._down_until[name] = max(back, self._down_until.get(name, 0.0))

    def look(self) -> None:
        """Start what has ended and has been down for long enough; returns at once."""
        now = time.monotonic()
        for name, part in self._parts.items():
            if part.is_running:
                continue
            if name not in self._down_until:
                # It may come up in vain for a while, as a service of AWS's does.
                self._down_until[name] = now + _PAUSE_SECONDS
            elif now >= self._down_until[name]:
                del self._down_until[name]
                part.start()
                self.started[name] += 1

    def bring_back(self, *, within: float) -> None:
        """Start all that is down without waiting for its time, and wait until each part serves.

        Raises:
            TimeoutError: one does not, however often it is started.
        """
        self._down_until = dict.fromkeys(self._down_until, 0.0)
        end = time.monotonic() + within
        waiting = dict(self._parts.items())
        while waiting:
            self.look()
            for name, part in list(waiting.items()):
                # One that dies again meanwhile is started again.
                with contextlib.suppress(PartDied):
                    if part.is_running and part.poll_ready():
                        del waiting[name]
            if time.monotonic() > end:
                raise TimeoutError(f"{', '.join(waiting)} did not come back within {within:.0f} s")
            time.sleep(0.1)

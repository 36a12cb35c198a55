"""Restarts parts that exit, as ECS restarts a service's tasks and RDS its database."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterable

from sandbox.parts.part_set import PartSet
from sandbox.parts.processes import PartDied

_PAUSE_SECONDS = 1.0


class Supervisor:
    """Restarts the parts of a sandbox whenever `step` is called.

    Attributes:
        restarts: how often each part was restarted.
    """

    def __init__(self, parts: PartSet) -> None:
        self.restarts: Counter[str] = Counter()
        self._parts = parts
        self._down_until: dict[str, float] = {}

    @property
    def down(self) -> Iterable[str]:
        """The parts that wait for their restart."""
        return self._down_until.keys()

    def kill(self, name: str, down_seconds: float) -> None:
        """Send SIGKILL to a part's processes; it stays down for at least `down_seconds`."""
        self._parts[name].kill()
        back = time.monotonic() + down_seconds
        self._down_until[name] = max(back, self._down_until.get(name, 0.0))

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

    def restart_all(self, *, within: float) -> None:
        """Restart all parts that are down and wait until each part is ready.

        Raises:
            TimeoutError: a part is not ready, even after restarts.
        """
        self._down_until = dict.fromkeys(self._down_until, 0.0)
        end = time.monotonic() + within
        waiting = dict(self._parts.items())
        while waiting:
            self.step()
            for name, part in list(waiting.items()):
                # A part that exits again is restarted.
                with contextlib.suppress(PartDied):
                    if part.is_running and part.poll_ready():
                        del waiting[name]
            if time.monotonic() > end:
                raise TimeoutError(f"{', '.join(waiting)} not ready after {within:.0f} s")
            time.sleep(0.1)

"""Kills parts for some time, and restarts them as ECS and RDS do."""

import contextlib
import time

from sandbox.parts.part_set import Supervisor
from sandbox.parts.processes import PartDied


class ChaosSupervisor(Supervisor):
    """A supervisor of parts that are killed."""

    def kill(self, name: str, down_seconds: float) -> None:
        """Send SIGKILL to a part's processes; it stays down for at least `down_seconds`."""
        self._parts[name].kill()
        back = time.monotonic() + down_seconds
        self._down_until[name] = max(back, self._down_until.get(name, 0.0))

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

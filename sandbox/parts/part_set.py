"""Starts, monitors and stops the parts of a sandbox by name; restarts those that exit."""

import time
from collections import Counter
from collections.abc import Callable, Iterable

from sandbox.parts.processes import Part

_PAUSE_SECONDS = 1.0


class PartSet(dict[str, Part]):
    """The parts of a sandbox by name, in the order of their start."""

    def __init__(self, on_progress: Callable[[str, str], object]) -> None:
        """Create an empty set; `on_progress` is called with a part's name and its new state."""
        super().__init__()
        self.on_progress = on_progress

    def launch(self, part: Part) -> None:
        """Start a part, or start it again."""
        self.on_progress(part.name, "starting")
        part.start()
        self[part.name] = part

    def wait_ready(self, *names: str) -> None:
        """Wait until these parts are ready.

        Raises:
            PartDied: a part exited, one of these or another.
            PartNotReady: one of these took too long.
        """
        waiting = list(names)
        while waiting:
            for name in list(waiting):
                if self[name].poll_ready():
                    waiting.remove(name)
                    self.on_progress(name, "ready")
            self.check()
            time.sleep(0.05)

    def stop(self, *names: str) -> None:
        """Stop these parts in parallel; parts that were not started are skipped."""
        stopping = [self[name] for name in names if name in self]
        for part in stopping:
            if part.is_running:
                self.on_progress(part.name, "stopping")
            part.request_stop()
        for part in stopping:
            part.wait_stopped()
            self.on_progress(part.name, "stopped")

    def check(self) -> None:
        """Raise PartDied for the first part that exited unexpectedly."""
        for part in self.values():
            part.check()


class Supervisor:
    """Restarts parts whenever `step` is called, as ECS restarts a service's tasks and RDS its database."""

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

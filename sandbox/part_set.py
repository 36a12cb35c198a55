"""The parts that run together: started, waited for, watched and stopped by name."""

import time
from collections.abc import Callable, Iterable, Iterator

from sandbox.processes import Part


class PartSet:
    """The parts of one sandbox, in the order they were started."""

    def __init__(self, on_progress: Callable[[str, str], None]) -> None:
        """Hold no parts yet; `on_progress` is told each part's name and what became of it."""
        self._parts: dict[str, Part] = {}
        self.tell = on_progress

    def __getitem__(self, name: str) -> Part:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def items(self) -> Iterable[tuple[str, Part]]:
        """Return names and parts."""
        return self._parts.items()

    def launch(self, part: Part) -> None:
        """Start a part, or start it again."""
        self.tell(part.name, "starting")
        part.start()
        self._parts[part.name] = part

    def wait_ready(self, *names: str) -> None:
        """Wait until these parts serve.

        Raises:
            PartDied: one of all the parts ended meanwhile.
            PartNotReady: one of these took too long.
        """
        waiting = list(names)
        while waiting:
            for name in list(waiting):
                if self._parts[name].poll_ready():
                    waiting.remove(name)
                    self.tell(name, "ready")
            self.check()
            time.sleep(0.05)

    def stop(self, *names: str) -> None:
        """Stop these parts side by side; those that were never started are passed over."""
        stopping = [self._parts[name] for name in names if name in self._parts]
        for part in stopping:
            if part.is_running:
                self.tell(part.name, "stopping")
            part.ask_to_stop()
        for part in stopping:
            part.wait_stopped()
            self.tell(part.name, "stopped")

    def check(self) -> None:
        """Raise PartDied for the first part that ended unasked."""
        for part in self._parts.values():
            part.check()

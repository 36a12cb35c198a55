"""Shows at a terminal which part of a sandbox is starting or stopping."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.status import Status


def shown_progress(console: Console, status: Status) -> Callable[[str, str], None]:
    """Return what a sandbox calls with a part's name and its new state."""
    started: dict[str, float] = {}

    def show(part: str, state: str) -> None:
        status.update(f"{state} {part}")
        if state == "starting":
            started[part] = time.monotonic()
        elif state == "ready":
            seconds = time.monotonic() - started[part]
            console.print(f"[green]ready[/green]    {part:<16}{seconds:5.1f} s", highlight=False)

    return show

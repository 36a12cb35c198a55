"""How a program that runs a sandbox ends at a terminal, and shows its parts until then."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.status import Status

from sandbox.parts.processes import SandboxError
from sandbox.parts.signals import ended_by_signals


def exit_code_of(work: Callable[[], int], console: Console, *, interrupted: int) -> int:
    """Return the exit code of `work`, `interrupted` after a signal, and 1 after a SandboxError."""
    with ended_by_signals():
        try:
            return work()
        except KeyboardInterrupt:
            console.print("Stopped. No process is left running.")
            return interrupted
        except SandboxError as problem:
            console.print(f"[red]{type(problem).__name__}[/red]:", end=" ")
            console.print(str(problem), markup=False, highlight=False)
            return 1


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

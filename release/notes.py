"""The note file of a removal that has begun."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from release.steps import StepContext


class Writable(Protocol):
    """An object that can be written into a file."""

    def write(self, path: Path) -> None:
        """Write it into a file."""


@dataclass(frozen=True)
class WriteNote:
    """Store the facts about the stack, for a retry after the stack is gone."""

    deployed: Writable
    path: Path

    @property
    def title(self) -> str:
        """What the step does."""
        return f"store the facts about the stack in {self.path}, for a retry"

    def shown(self) -> list[str]:
        """Return nothing: there is no command for it."""
        return []

    def run(self, context: StepContext) -> None:
        """Write it."""
        self.deployed.write(context.folder / self.path)


@dataclass(frozen=True)
class DeleteNote:
    """Delete the note: nothing is left to do."""

    path: Path

    @property
    def title(self) -> str:
        """What the step does."""
        return f"delete {self.path}"

    def shown(self) -> list[str]:
        """Return nothing: there is no command for it."""
        return []

    def run(self, context: StepContext) -> None:
        """Delete it."""
        (context.folder / self.path).unlink(missing_ok=True)

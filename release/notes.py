"""What is written down of a removal that is under way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from release.steps import Running


class Written(Protocol):
    """Something that can be written down."""

    def write(self, path: Path) -> None:
        """Write it into a file."""


@dataclass(frozen=True)
class KeepNote:
    """Write down what there is, for a second try once the stack is gone."""

    deployed: Written
    path: Path

    @property
    def title(self) -> str:
        """What it does."""
        return f"write down in {self.path} what there is, for a second try"

    def shown(self) -> list[str]:
        """Return nothing: nobody types it."""
        return []

    def run(self, running: Running) -> None:
        """Write it."""
        self.deployed.write(running.folder / self.path)


@dataclass(frozen=True)
class ForgetNote:
    """Delete the note: nothing is left to do."""

    path: Path

    @property
    def title(self) -> str:
        """What it does."""
        return f"delete {self.path}"

    def shown(self) -> list[str]:
        """Return nothing: nobody types it."""
        return []

    def run(self, running: Running) -> None:
        """Delete it."""
        (running.folder / self.path).unlink(missing_ok=True)

"""Commands whose modules are imported when they run: `--help` does not wait for AWS or Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from echodrop.examples import epilog


class LazyCommand(TyperCommand):
    """A command of which only name and summary are known; its function has options and help."""

    def __init__(self, name: str, place: str, summary: str) -> None:
        super().__init__(name, help=summary, callback=None)
        self._place = place

    def load(self) -> Any:  # noqa: ANN401 - a command of typer's own copy of click
        """Import the function, `module:name`, and make the command of it."""
        module, _, function = self._place.partition(":")
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        call = getattr(import_module(module), function)
        alone.command(self.name, epilog=epilog(function))(call)
        return get_command(alone)

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as above
        """Parse the arguments by the command itself."""
        return self.load().make_context(*args, **more)


def lazy_group(commands: Mapping[str, tuple[str, str]]) -> type[TyperGroup]:
    """A group of these commands: by name, the place of the function, and its summary."""

    class LazyGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's
            super().__init__(**settings)
            lazy = {name: LazyCommand(name, *about) for name, about in commands.items()}
            self.commands = {**lazy, **self.commands}

    return LazyGroup

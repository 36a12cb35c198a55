"""The command line and the Python front door of echodrop."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echodrop.command_line import app

__all__ = ["app", "main"]

# Imported when they are asked for, so that `import echodrop` stays quick.
_MODULES = {"app": "echodrop.command_line"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of any type
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def main() -> None:
    """Run the command line."""
    from echodrop.command_line import app as command_line  # noqa: PLC0415 - it imports typer

    command_line()

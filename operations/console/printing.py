"""Prints names and reasons whole: at a terminal of any width, and in a pipe."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.text import Text


def write_name(console: Console, name: str, *, indent: int = 0, style: str = "") -> None:
    """Print one line that is never cut or broken, so that it can be copied or piped."""
    console.print(Text(f"{' ' * indent}{name}", style), soft_wrap=True)


def write(console: Console, text: str, *, indent: int = 0, style: str = "") -> None:
    """Print a text: between words it breaks at the terminal's width, in a pipe it is one line."""
    if console.is_terminal:
        console.print(Padding(Text(text, style), (0, 0, 0, indent), expand=False))
    else:
        write_name(console, text, indent=indent, style=style)


def write_grouped(console: Console, rows: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Print names by their reason: each reason once, then the names that it applies to.

    `rows` are reason (may be empty) and name; names get two blanks more than a reason.
    """
    groups: dict[str, list[str]] = {}
    for reason, name in rows:
        groups.setdefault(reason, []).append(name)
    for reason, names in groups.items():
        if reason:
            write(console, reason, indent=indent)
        for name in names:
            write_name(console, name, indent=indent + 2 * bool(reason))

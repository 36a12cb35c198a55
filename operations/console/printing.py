"""Prints names and reasons whole, at a terminal of any width and in a pipe; and a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a progress bar on stderr, if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=None)

        def update(what: str, done: int, total: int | None) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield update


def write_name(console: Console, name: str, *, indent: int = 0, style: str = "") -> None:
    """Print one line that is never cut or broken, so that it can be copied or piped."""
    console.print(Text(f"{' ' * indent}{name}", style), soft_wrap=True)


def write(console: Console, text: str, *, indent: int = 0, style: str = "") -> None:
    """Print a text: between words it breaks at the terminal's width, in a pipe it is one line."""
    if console.is_terminal:
        console.print(Padding(Text(text, style), (0, 0, 0, indent), expand=False))
    else:
        write_name(console, text, indent=indent, style=style)


def write_part(
    console: Console, label: str, text: str, *, whole: bool = False, style: str = ""
) -> None:
    """Print a labelled part of a description; a `whole` text is never broken."""
    (write_name if whole else write)(console, f"{label:<10}{text}", indent=2, style=style)


def print_json(values: object, file: IO[str] | None = None) -> None:
    """Print values as one line of JSON: a command's result."""
    (file or sys.stdout).write(json.dumps(values, ensure_ascii=False) + "\n")


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

"""The blocks of commands and of Python in a page of the docs, for the tests that run them."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# A block is run unless the comment before it gives the reason why not.
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+?) -->\n+)?```(?P<language>console|python)\n(?P<text>.*?)```",
    re.DOTALL,
)


def blocks_of(page: str) -> list[re.Match[str]]:
    """Each block, with the groups `reason`, `language` and `text`."""
    return list(_BLOCK.finditer((PROJECT / page).read_text("utf-8")))


def commands_of(console: str) -> list[tuple[str, str]]:
    """Each command of a console block, and the output that the page shows."""
    commands: list[tuple[str, str]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:].partition("  # ")[0].strip(), ""))
        else:
            command, shown = commands[-1]
            commands[-1] = (command, f"{shown}{line}\n")
    return commands

"""docs/architecture.md names modules that exist, and every room in the order of the check."""

from __future__ import annotations

import re
from pathlib import Path

from checks.structure import ROOMS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()


def test_every_path_exists() -> None:
    quoted = set(re.findall(r"`((?:[\w-]+/)+[\w-]+(?:\.(?:py|md|toml|json|yaml))?)`", PAGE))
    linked = {path.partition("#")[0] for path in re.findall(r"\]\(([^)]+)\)", PAGE)}
    steps = re.findall(r"flows/\S+\.py", (ROOT / "flows/conversion.py").read_text())
    assert len(quoted) > 25
    assert len(steps) == 8
    assert [path for path in [*quoted, *steps] if not (ROOT / path).exists()] == []
    assert [path for path in linked if not (ROOT / "docs" / path).exists()] == []


def test_the_table_has_every_room_from_the_bottom_to_the_top() -> None:
    table = PAGE.partition("## The rooms")[2].partition("`tests/` has")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [
        room for cell in first_cells for room in re.findall(r"`([\w.]+)`", cell)
    ] == ROOMS.split()

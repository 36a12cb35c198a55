"""CONTRIBUTING.md names paths and make targets that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_path_exists() -> None:
    quoted = re.findall(r"`((?:[\w-]+/)*[\w-]+(?:/|\.(?:py|md|toml|txt|yaml|json)))`", PAGE)
    linked = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(quoted) > 20
    assert linked
    assert [path for path in {*quoted, *linked} if not (ROOT / path).exists()] == []


def test_every_make_target_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", PAGE, re.MULTILINE)
    assert {"setup", "check", "test", "lock"} <= set(named)
    assert set(named) <= set(targets)

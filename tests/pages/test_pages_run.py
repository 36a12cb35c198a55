"""The commands and the Python of README and the guide run as written, in the order of the page."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages_of_docs import blocks_of, commands_of

PAGES = ("README.md", "docs/guide.md")
# What a page shows of an output may leave out parts.
_LEFT_OUT = "..."


def same_output(shown: str, printed: str) -> bool:
    parts = [re.escape(part) for part in shown.strip().split(_LEFT_OUT)]
    return re.fullmatch(".*".join(parts), printed.strip(), re.DOTALL) is not None


@pytest.mark.slow
@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_written(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MPLBACKEND", "agg")
    for name in [name for name in os.environ if name.startswith(("ECHODROP_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    names: dict[str, object] = {}
    ran = 0
    for block in blocks_of(page):
        if block["reason"]:
            continue
        if block["language"] == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                # S102: the code of the page is the project's own.
                exec(compile(block["text"], page, "exec"), names)  # noqa: S102
            ran += 1
            continue
        for command, shown in commands_of(block["text"]):
            result = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, check=False
            )
            assert result.returncode == 0, f"{page}: {command}\n{result.stdout}{result.stderr}"
            if shown:
                assert same_output(shown, result.stdout), f"{page}: {command}\n{result.stdout}"
            ran += 1
    assert ran >= 3


def test_an_output_that_differs_is_noticed() -> None:
    assert same_output("a ... c\n", "a b c\n")
    assert not same_output("a ... c\n", "a b d\n")
    assert commands_of("$ ls  # lists\nx\n$ pwd\n") == [("ls", "x\n"), ("pwd", "")]

"""What every test shares: where the real echosounder files lie."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A machine that is busy with the other half of the suite makes any example slow.
settings.register_profile("echodrop", deadline=None)
settings.load_profile("echodrop")

# Real files are not part of the project: their folder stands beside it, or
# where ECHODROP_REAL_DATA says.
_REAL_DATA = Path(
    os.environ.get(
        "ECHODROP_REAL_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    )
).resolve()


# Lines that a test prints even if it passes: `record_property(REPORT_LINE, line)`.
REPORT_LINE = "report"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the report lines of all tests, including passed ones, from all processes."""
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, line in report.user_properties
        if name == REPORT_LINE
    ]
    if lines:
        terminalreporter.section("report lines")
        for line in lines:
            terminalreporter.write_line(str(line))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files; a test that needs it is skipped where it is absent."""
    if not (_REAL_DATA / "expected.json").is_file():
        pytest.skip(f"no real echosounder files at {_REAL_DATA} (set ECHODROP_REAL_DATA)")
    return _REAL_DATA


@pytest.fixture(scope="session")
def expected(real_data: Path) -> dict[str, dict[str, Any]]:
    """What echopype 0.11.1 reads out of each real file, by its path in the folder."""
    contents: dict[str, dict[str, Any]] = json.loads((real_data / "expected.json").read_text())
    return contents


@pytest.fixture(autouse=True)
def _echopype_silences_nobody() -> Iterator[None]:
    """Undo what `import echopype` did to this process's logging in another test."""
    logging.disable(logging.NOTSET)
    yield
    logging.disable(logging.NOTSET)

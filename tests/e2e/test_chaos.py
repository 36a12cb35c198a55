"""Every file has its expected outcome although parts of the system are killed at random.

The test kills parts, and is the first on its sandbox: the inbox must be empty. It uses
PostgreSQL if it is installed, otherwise SQLite, whose database stops with the server.
`python -m tests.chaos REAL_DATA` runs it with sixty files in about nine minutes;
`--seed 8 --files 200` uses another seed and more files.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.parts.postgresql import PostgresqlMissing, find_binaries
from sandbox.system import Sandbox, SandboxOptions
from tests.chaos.plan import FaultKind
from tests.chaos.trial import ChaosReport, run_trial
from tests.conftest import REPORT_LINE

pytestmark = [pytest.mark.trial, pytest.mark.xdist_group("chaos"), pytest.mark.timeout(2400)]

SEED, FILES = 7, 36


def database() -> str:
    try:
        find_binaries()
    except PostgresqlMissing:
        return "sqlite"
    return "postgresql"


def log(line: str) -> None:
    """Write to the output that pytest shows for a failed test, or with -s."""
    sys.stdout.write(f"{line}\n")


@pytest.fixture(scope="module")
def system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    if database() == "postgresql":
        yield request.getfixturevalue("postgresql_sandbox")
        return
    with Sandbox(tmp_path_factory.mktemp("chaos"), SandboxOptions(products=False)) as running:
        yield running


@pytest.fixture(scope="module")
def report(system: Sandbox, real_data: Path) -> ChaosReport:
    return run_trial(system, real_data, seed=SEED, files=FILES, log=log)


def test_every_file_has_its_expected_outcome_and_none_is_converted_twice(
    report: ChaosReport, record_property: Callable[[str, object], None]
) -> None:
    for line in report.lines():
        record_property(REPORT_LINE, line)
    assert report.problems == []
    assert sum(report.outcomes.values()) == FILES


def test_faults_were_injected(report: ChaosReport) -> None:
    """Otherwise the other test would prove nothing."""
    assert {kind for kind in FaultKind if not report.injected[kind]} <= {FaultKind.DATABASE}
    assert report.injected[FaultKind.DATABASE] or database() == "sqlite"
    assert report.killed >= 2
    assert report.unnotified > 0
    assert report.found["never notified"] > 0
    assert report.fixes["notified"] > 0

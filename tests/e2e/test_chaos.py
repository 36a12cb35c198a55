"""Mixed files while the system's parts are killed at random: each ends in its one outcome.

Its own sandbox: what is killed here, others share. On PostgreSQL where it is
installed; elsewhere on SQLite, whose database dies with the server. With sixty
files, in about nine minutes, `python -m benchmarks.chaos REAL_DATA` runs it;
with another seed, and for longer: `--seed 8 --files 200`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.chaos.plan import Strike
from sandbox.chaos.trial import Tally, try_by_chaos
from sandbox.postgresql import PostgresqlMissing, find_binaries
from sandbox.system import Sandbox, SandboxOptions
from tests.conftest import TOLD

pytestmark = [pytest.mark.xdist_group("sandbox"), pytest.mark.timeout(2400)]

SEED, FILES = 7, 36


def database() -> str:
    try:
        find_binaries()
    except PostgresqlMissing:
        return "sqlite"
    return "postgresql"


def tell(line: str) -> None:
    """Into what pytest shows of a failed test (and of any, with -s): what struck when."""
    sys.stdout.write(f"{line}\n")


@pytest.fixture(scope="module")
def tally(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Tally:
    options = SandboxOptions(database=database())
    with Sandbox(tmp_path_factory.mktemp("chaos"), options) as sandbox:
        return try_by_chaos(sandbox, real_data, seed=SEED, files=FILES, say=tell)


def test_every_file_ends_in_its_one_outcome_and_none_is_converted_twice(
    tally: Tally, record_property: Callable[[str, object], None]
) -> None:
    for line in tally.lines():
        record_property(TOLD, line)
    assert tally.problems == []
    assert sum(tally.outcomes.values()) == FILES


def test_the_chaos_was_one(tally: Tally) -> None:
    """Else the other test would say nothing."""
    assert {strike for strike in Strike if not tally.struck[strike]} <= {Strike.DATABASE}
    assert tally.struck[Strike.DATABASE] or database() == "sqlite"
    assert tally.killed >= 2
    assert tally.untold > 0
    assert tally.found["never notified"] > 0
    assert tally.fixes["notified"] > 0

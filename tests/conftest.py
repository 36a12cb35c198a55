"""Fixtures for all tests, such as the folder of real echosounder files."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from hypothesis import settings

from tests.expected_facts import expected_facts

# Any example may be slow while other tests run on the machine.
settings.register_profile("echodrop", deadline=None)
# For `make quick`.
settings.register_profile("quick", settings.get_profile("echodrop"), max_examples=15)
settings.load_profile("echodrop")

# Each session parsed AWS's descriptions of services again, which took most of a short test.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

# Real files are not part of the project: their folder is next to it, or at ECHODROP_REAL_DATA.
_REAL_DATA = Path(
    os.environ.get(
        "ECHODROP_REAL_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    )
).resolve()


# Lines that a test prints even if it passes: `record_property(REPORT_LINE, line)`.
REPORT_LINE = "report"


# Groups that take minutes, the longest first. Each starts servers of its own and mostly waits.
LONGEST_FIRST = ("sandbox", "alerts", "storm", "prefect-server", "chaos", "sending")


# Tests of a folder with a fixture (or all) share a server, or convert each file in one process.
GROUPS = (
    ("contract", "prefect_api", "prefect-server"),
    ("unit/operations", "aws_url", "operations-aws"),
    ("unit/products", "", "products"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that convert recorded files as slow, and start the longest groups first.

    They are marked before `-m` selects. pytest-xdist hands out tests in their order. Single
    tests are last, so that no worker is left with a long group at the end.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if {"real_data", "fleet_files"} & fixtures:
            item.add_marker("slow")
        for folder, fixture, group in GROUPS:
            if Path(__file__).parent / folder in item.path.parents and fixture in {*fixtures, ""}:
                item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    group = item.get_closest_marker("xdist_group")
    if group is None:
        return len(LONGEST_FIRST) + 1
    names = (*LONGEST_FIRST, group.args[0])
    return names.index(group.args[0])


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
    """The folder of real files; a test that needs it is skipped if it does not exist."""
    if not (_REAL_DATA / "expected.json").is_file():
        pytest.skip(f"no real echosounder files at {_REAL_DATA} (set ECHODROP_REAL_DATA)")
    return _REAL_DATA


@pytest.fixture(scope="session")
def fleet_files(real_data: Path) -> Path:
    """The folder of files as fleets produce them, beside the real files; skips if it does not exist."""
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no files as fleets produce them at {folder}")
    return folder


@pytest.fixture(scope="session")
def expected(real_data: Path) -> dict[str, dict[str, Any]]:
    """The values in each real file, by its path in the folder: see `expected_facts`."""
    return expected_facts(real_data)


@pytest.fixture(autouse=True, scope="session")
def _no_fsync() -> Iterator[None]:
    """Let the system write to the disk when it likes: no test turns off the power.

    A conversion waited a third of its time for it. A test of the order of writes has its own `fsync`.
    """
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", lambda _file: None)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Undo the changes of `import echopype` in another test to this process's logging."""
    logging.disable(logging.NOTSET)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """An empty AWS account: all clients of boto3 in this process reach moto."""
    from moto import mock_aws  # noqa: PLC0415 - most tests need no AWS

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.Session()


@pytest.fixture
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment without AWS credentials, as on a machine without an account."""
    from flows.stores import s3_client  # noqa: PLC0415 - most tests need no S3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    # Clients are cached, and have read other credentials.
    s3_client._client.cache_clear()
    yield
    s3_client._client.cache_clear()

"""Fixtures of running systems: one on SQLite that tests share, and one on PostgreSQL."""

import os
from collections.abc import Iterator

import pytest

from sandbox.parts.postgresql import PostgresqlMissing, find_binaries
from sandbox.system import Sandbox, SandboxOptions
from tests.sandbox_inbox import SandboxInbox

_RUNNING: list[Sandbox] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the shared systems after the last test of their group: an idle one takes 8 % of a core."""
    if nextitem is None or _group(nextitem) != _group(item):
        while _RUNNING:
            _RUNNING.pop().stop()


def _group(item: pytest.Item) -> object:
    marker = item.get_closest_marker("xdist_group")
    return marker and marker.args


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The whole system on SQLite, shared by all tests of the group `sandbox`."""
    # At least two tasks, so that a live upload can run during a backfill.
    # Without products: they would take more time than the conversions.
    options = SandboxOptions(
        parallel_tasks=max(2, os.cpu_count() or 1), gallery=True, products=False
    )
    with Sandbox(tmp_path_factory.mktemp("sandbox"), options) as running:
        _RUNNING.append(running)
        yield running


@pytest.fixture
def inbox(sandbox: Sandbox) -> SandboxInbox:
    """The inbox of the shared system."""
    return SandboxInbox(sandbox)


@pytest.fixture(scope="session")
def postgresql_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The whole system on a private PostgreSQL cluster."""
    try:
        find_binaries()
    except PostgresqlMissing as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("sandbox-on-postgresql")
    with Sandbox(folder, SandboxOptions(database="postgresql", products=False)) as running:
        _RUNNING.append(running)
        yield running


@pytest.fixture(autouse=True, scope="session")
def _no_user_accounts() -> Iterator[None]:
    """Keep the user's AWS account and Prefect profile out of this process."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith(("AWS_", "PREFECT_"))]:
        patch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        patch.setenv(name, os.devnull)
    yield
    patch.undo()

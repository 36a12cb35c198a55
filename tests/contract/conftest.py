"""A real Prefect server for the tests that hold us to its API.

Tests that ask for it run in one xdist worker, so that a run of the tests starts
one server.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from prefect.logging.handlers import APILogWorker

from sandbox.environments import system_environment
from sandbox.orphans import MARK, start_watchdog
from sandbox.ports import free_port
from sandbox.prefect_server import prefect_server, sqlite_url

# On SQLite the server says 503 whenever two want to write at once.
_PATIENT = urllib3.Retry(8, status_forcelist=[503], allowed_methods=None, backoff_factor=0.1)


@dataclass(frozen=True)
class ApiCall:
    """A Prefect API, called as `api("POST", "/flows/", {...})`."""

    url: str

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = urllib3.request(method, self.url + path, json=body, retries=_PATIENT, timeout=30)
        assert answer.status < 300, (method, path, answer.status, answer.data)
        return json.loads(answer.data) if answer.data else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # pytest tells every conftest of all items.
    ours = (item for item in items if Path(__file__).parent in item.path.parents)
    for item in ours:
        if "prefect_api" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("prefect-server"))


@pytest.fixture(scope="session")
def prefect_server_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiCall]:
    """Call the API of a fresh server on SQLite: `api("POST", "/flows/", {...})`."""
    home = tmp_path_factory.mktemp("prefect")
    # The server must not outlive a test run that is killed.
    mark = uuid.uuid4().hex
    watchdog = start_watchdog(mark)
    port = free_port()
    server = prefect_server(
        port,
        home=home,
        database_url=sqlite_url(home),
        environment={**system_environment(), MARK: mark},
        log=home / "server.log",
    )
    server.start()
    try:
        while not server.poll_ready():
            time.sleep(0.1)
        yield ApiCall(f"http://127.0.0.1:{port}/api")
    finally:
        # What flows of this process still have to tell is told while the server lives:
        # at the process's end it would be tried for more than a minute.
        APILogWorker.drain_all(timeout=30)
        server.stop()
        assert watchdog.stdin is not None
        watchdog.stdin.close()
        watchdog.wait()


@pytest.fixture(scope="module")
def prefect_api(prefect_server_api: ApiCall) -> Iterator[ApiCall]:
    """The server for one module: what its tests registered goes with it, and what that scheduled."""
    yield prefect_server_api
    for kind in ("automations", "deployments"):
        for item in prefect_server_api("POST", f"/{kind}/filter", {}):
            prefect_server_api("DELETE", f"/{kind}/{item['id']}")
    for pool in prefect_server_api("POST", "/work_pools/filter", {}):
        prefect_server_api("DELETE", f"/work_pools/{pool['name']}")


@pytest.fixture(scope="module")
def prefect_api_url(prefect_api: ApiCall) -> str:
    """Where the server is, for what talks to it by itself."""
    return prefect_api.url

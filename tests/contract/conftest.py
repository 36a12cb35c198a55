"""A real Prefect server for the tests of the API calls.

Tests that use it run in one xdist worker, so that a test run starts one server.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3
from prefect.logging.handlers import APILogWorker

from sandbox.parts.environments import system_environment
from sandbox.parts.orphans import MARK, start_watchdog
from sandbox.parts.ports import free_port
from sandbox.prefect.prefect_server import prefect_server, sqlite_url

# On SQLite the server answers 503 if two requests write at once.
_PATIENT = urllib3.Retry(8, status_forcelist=[503], allowed_methods=None, backoff_factor=0.1)


@dataclass(frozen=True)
class ApiCall:
    """A Prefect API, called as `api("POST", "/flows/", {...})`."""

    url: str

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = urllib3.request(method, self.url + path, json=body, retries=_PATIENT, timeout=30)
        assert answer.status < 300, (method, path, answer.status, answer.data)
        return json.loads(answer.data) if answer.data else None


@pytest.fixture(scope="session")
def prefect_server_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiCall]:
    """Call the API of a fresh server on SQLite: `api("POST", "/flows/", {...})`."""
    home = tmp_path_factory.mktemp("prefect")
    # The server must end with a killed test run.
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
        # Flows of this process send their last events while the server still runs:
        # at the end of the process they would retry for more than a minute.
        APILogWorker.drain_all(timeout=30)
        server.stop()
        assert watchdog.stdin is not None
        watchdog.stdin.close()
        watchdog.wait()


@pytest.fixture(scope="module")
def prefect_api(prefect_server_api: ApiCall) -> Iterator[ApiCall]:
    """The server for one module; what its tests registered and scheduled is removed afterwards."""
    yield prefect_server_api
    for kind in ("automations", "deployments"):
        for item in prefect_server_api("POST", f"/{kind}/filter", {}):
            prefect_server_api("DELETE", f"/{kind}/{item['id']}")
    for pool in prefect_server_api("POST", "/work_pools/filter", {}):
        prefect_server_api("DELETE", f"/work_pools/{pool['name']}")


@pytest.fixture(scope="module")
def prefect_api_url(prefect_api: ApiCall) -> str:
    """The server's URL, for parts with their own client."""
    return prefect_api.url

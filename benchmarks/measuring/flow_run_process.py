"""Executes flow runs as a task does, with a Prefect server in a separate process."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.measuring.measured_process import ROOT, Peak, waited_for
from flows.deployment import deployments
from flows.deployment.deployment_specs import conversions
from sandbox.parts.environments import prefect_environment, system_environment
from sandbox.parts.ports import free_port
from sandbox.prefect.prefect_server import prefect_server, sqlite_url

_NAME = "benchmark"
# The command of a task, and Prefect's own command.
OURS = (sys.executable, "-m", "flows.runs.execute_run")
PREFECTS = (sys.executable, "-m", "prefect", "flow-run", "execute")


@dataclass(frozen=True)
class MeasuredRun:
    """A completed run as in Prefect's API, and the start of its command (Unix time)."""

    run: dict[str, Any]
    begun: float
    peak: Peak


@dataclass(frozen=True)
class FlowRunServer:
    """A running server with the deployment of the conversion."""

    api_url: str
    deployment: str
    home: Path

    def measure(self, parameters: dict[str, Any], command: Sequence[str] = OURS) -> MeasuredRun:
        """Execute one run with a command that reads it from the environment.

        Raises:
            RuntimeError: it did not complete.
        """
        run = self._ask("POST", f"/deployments/{self.deployment}/create_flow_run", parameters)
        begun = time.time()
        peak = waited_for(
            command,
            {
                **system_environment(),
                **prefect_environment(self.home, self.api_url),
                "PYTHONPATH": str(ROOT),
                "PREFECT__FLOW_RUN_ID": run["id"],
            },
            # Prefect copies the working directory for the run.
            self.home / "work",
        )
        run = self._ask("GET", f"/flow_runs/{run['id']}")
        if run["state"]["name"] != "Completed":
            raise RuntimeError(f"{run['state']['name']}: {run['state']['message']}")
        return MeasuredRun(run, begun, peak)

    def _ask(self, method: str, path: str, parameters: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        answer = urllib3.request(
            method,
            self.api_url + path,
            json={"parameters": parameters} if parameters else None,
            # With SQLite the server answers 503 if two requests write at the same time.
            retries=urllib3.Retry(8, status_forcelist=[503], allowed_methods=None),
        )
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data!r}")
        return answer.json()


@contextlib.contextmanager
def flow_runs() -> Iterator[FlowRunServer]:
    """A new server on SQLite with the registered conversion."""
    with tempfile.TemporaryDirectory(prefix="echodrop-prefect-") as folder:
        home, port = Path(folder), free_port()
        (home / "work").mkdir()
        server = prefect_server(
            port,
            home=home,
            database_url=sqlite_url(home),
            environment=system_environment(),
            log=home / "server.log",
        )
        server.start()
        try:
            while not server.poll_ready():
                time.sleep(0.1)
            api_url = f"http://127.0.0.1:{port}/api"
            with temporary_settings({PREFECT_API_URL: api_url}):
                registered = deployments.register(
                    work_pool=_NAME, work_pool_type="process", deployments=conversions(_NAME)
                )
            yield FlowRunServer(api_url, registered.deployments[f"convert-raw-sonar/{_NAME}"], home)
        finally:
            server.stop()

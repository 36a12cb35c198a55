"""moto's S3 and Prefect's server in processes of their own, so that their time does not count."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.measuring.measured import ROOT, Measured, run
from flows.deployment import deployments
from flows.deployment.deployment_specs import conversions
from flows.stores.s3_client import s3_client
from sandbox.parts.environments import aws_environment, system_environment
from sandbox.parts.ports import HOST, free_port
from sandbox.parts.processes import Part
from sandbox.parts.waiting import wait_until
from sandbox.prefect.prefect_api import SandboxPrefectApi
from sandbox.prefect.prefect_server import answers, prefect_server, sqlite_url

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

INBOX, OUTPUT = "inbox", "output"
_NAME = "benchmark"
# The command of a task, and Prefect's own command.
OURS = (sys.executable, "-m", "flows.runs.execute_run")
PREFECTS = (sys.executable, "-m", "prefect", "flow-run", "execute")


@contextlib.contextmanager
def running(part: Part) -> Iterator[Part]:
    """Start a part of the sandbox by itself."""
    part.start()
    try:
        wait_until(part.poll_ready, part.ready_within, part.name)
        yield part
    finally:
        part.stop()


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[int]:
    """Run the sandbox's AWS, without the stack; its port."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "sandbox.aws.aws_server", "--port", str(port)]
    environment = {
        **system_environment(),
        **aws_environment(url),
        "PYTHONPATH": str(ROOT),
        # Larger objects are in a temporary file, which moto reads as a whole for each range.
        "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(2**30),
        # Memory from the heap: new pages for each copy of a body would take most of the time.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
    }

    def is_ready() -> bool:
        return answers(f"{url}/moto-api/")

    with running(Part("aws", command, environment, folder / "aws.log", is_ready=is_ready)):
        yield port


def storage_options(port: int) -> dict[str, Any]:
    """Storage options for moto, or for a proxy in front of it."""
    return {"key": "benchmark", "secret": "benchmark", "endpoint_url": f"http://{HOST}:{port}"}


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[tuple[int, S3Client]]:
    """Run S3 with the buckets INBOX and OUTPUT; its port, and a client."""
    with moto(folder) as port:
        client = s3_client(storage_options(port))
        for bucket in (INBOX, OUTPUT):
            client.create_bucket(Bucket=bucket)
        yield port, client


@dataclass(frozen=True)
class FlowRunServer:
    """A running server with the deployment of the conversion."""

    port: int
    deployment: str
    home: Path

    @property
    def api(self) -> SandboxPrefectApi:
        """A client of its API."""
        return SandboxPrefectApi(f"http://{HOST}:{self.port}/api")

    def create(self, parameters: dict[str, Any]) -> str:
        """Create a run of the conversion; its id."""
        path = f"/deployments/{self.deployment}/create_flow_run"
        return str(self.api.request("POST", path, {"parameters": parameters})["id"])

    def execute(
        self, run_id: str, environment: dict[str, str], command: Sequence[str] = OURS
    ) -> Measured:
        """Execute a run as a task does, with these settings of Prefect's client."""
        more = {"PYTHONPATH": str(ROOT), "PREFECT__FLOW_RUN_ID": run_id}
        # Prefect copies the working directory for the run.
        return run(command, {**system_environment(), **environment, **more}, self.home / "work")


@contextlib.contextmanager
def flow_runs() -> Iterator[FlowRunServer]:
    """A new server on SQLite with the registered conversion."""
    with tempfile.TemporaryDirectory(prefix="echodrop-prefect-") as folder:
        home = Path(folder)
        (home / "work").mkdir()
        port = free_port()
        server = prefect_server(
            port,
            home=home,
            database_url=sqlite_url(home),
            environment=system_environment() | {"PYTHONPATH": str(ROOT)},
            log=home / "server.log",
        )
        with running(server):
            with temporary_settings({PREFECT_API_URL: f"http://{HOST}:{port}/api"}):
                registered = deployments.register(
                    work_pool=_NAME, work_pool_type="process", deployments=conversions(_NAME)
                )
            yield FlowRunServer(port, registered.deployments[f"convert-raw-sonar/{_NAME}"], home)

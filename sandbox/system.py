"""Runs the whole system on one machine: AWS, Prefect, worker, tasks and trigger as processes."""

import os
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox.aws.aws_resources import VISIBILITY_TIMEOUT
from sandbox.parts import postgresql
from sandbox.parts.environments import aws_clients, aws_environment, prefect_environment
from sandbox.parts.orphans import end_marked_processes, start_watchdog
from sandbox.parts.part_set import PartSet
from sandbox.parts.ports import HOST
from sandbox.parts.state_folder import DEFAULT, StateFolder
from sandbox.prefect import prefect_server
from sandbox.prefect.prefect_api import SandboxPrefectApi
from sandbox.stack.names import AwsAccount
from sandbox.stack.template import UNUSED_PARAMETERS, ResourceNames, Stack
from sandbox.start import AWS, ECS_WORKER, GALLERY, TASK_EXECUTOR, TRIGGER, start_parts

__all__ = ["TASK_EXECUTOR", "TRIGGER", "Sandbox", "SandboxOptions"]


@dataclass(frozen=True)
class SandboxOptions:
    """Options of a sandbox.

    Attributes:
        database: `sqlite`, `postgresql` (a private cluster) or the SQLAlchemy URL of an
            empty database. A used database has runs of deleted objects, and Prefect
            would not convert the same files again.
        triggers: how many Lambda environments poll the queue. SQLite supports only one.
        products: whether conversions make pictures, as in a stack by default.
        visibility_timeout: seconds until SQS delivers a failed notification again. This value
            times MaxReceiveCount is how long an outage of Prefect may last.
        function_timeout: seconds a trigger invocation may take, less than the template's.
        runs_tasks: whether flow runs are executed. Otherwise they stay scheduled, and
            neither the ECS worker nor the task executor is started.
        credential: the `user:password` that the Prefect server requires, stored in the
            stack's secret; None for a server without authentication.
        keeps_state: whether objects and runs of an earlier sandbox on the folder are still there. With
            PostgreSQL the objects are, but not the runs.
    """

    database: str = "sqlite"
    triggers: int | None = None
    parallel_tasks: int = field(default_factory=lambda: os.cpu_count() or 1)
    products: bool = True
    visibility_timeout: int = VISIBILITY_TIMEOUT
    function_timeout: float = 20.0
    runs_tasks: bool = True
    credential: str | None = None
    gallery: bool = False
    keeps_state: bool = False

    def trigger_count(self, maximum_concurrency: int) -> int:
        """Return the number of triggers: `triggers` if set, else 1 on SQLite and the template's maximum otherwise."""
        most = 1 if self.database.startswith("sqlite") else maximum_concurrency
        return self.triggers or most


class Sandbox:
    """The running system; a context manager that ends all its processes.

    Start it from a thread that does not end, such as the main thread.
    """

    def __init__(
        self,
        folder: Path = DEFAULT,
        options: SandboxOptions | None = None,
        on_progress: Callable[[str, str], object] = lambda _part, _state: None,
    ) -> None:
        """Create a sandbox; `start` or `with` starts it.

        `on_progress` is called with a part's name and its new state (`starting`, `ready`,
        `stopping`, `stopped`).
        """
        self.options = options or SandboxOptions()
        self.state = StateFolder(folder)
        self.sandbox_id = uuid.uuid4().hex
        self.parts = PartSet(on_progress)
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.aws_port, self.prefect_port = self.state.port("aws"), self.state.port("prefect")
        self.aws_endpoint_url = f"http://{HOST}:{self.aws_port}"
        #: Returns a boto3 client of the sandbox's AWS by its service.
        self.client = aws_clients(self.aws_endpoint_url)
        self.gallery_port = self.state.port("gallery")
        self.gallery_url = f"http://{HOST}:{self.gallery_port}/"
        self.ui_url = f"http://{HOST}:{self.prefect_port}"
        self.prefect_api_url = f"{self.ui_url}/api"
        self.api = SandboxPrefectApi(self.prefect_api_url, self.options.credential)
        self.stack = Stack.read(
            {
                **UNUSED_PARAMETERS,
                # There is no vCPU quota; `parallel_tasks` limits the tasks.
                "LiveConcurrency": "100",
                "BackfillConcurrency": "20",
                # The sandbox costs nothing.
                "MonthlyBudgetUsd": "0",
                "BrakeRunsAnHour": "0",
                "Products": "on" if self.options.products else "off",
                "PrefectApiUrl": self.prefect_api_url,
                "PrefectAuth": "auth_string" if self.options.credential else "none",
            },
            AwsAccount(sqs=self.aws_endpoint_url),
        )
        self.names = ResourceNames.of(self.stack)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        """Return the variables with which an operator's program connects to this sandbox.

        They include Prefect's credential.
        """
        credential = self.options.credential
        known = {"PREFECT_API_AUTH_STRING": credential} if credential is not None else {}
        return {**self.addresses(), **known}

    def addresses(self) -> dict[str, str]:
        """Return the variables of a part that connects to AWS and Prefect."""
        return {
            **aws_environment(self.aws_endpoint_url),
            **prefect_environment(self.state.prefect_home, self.prefect_api_url),
        }

    def start(self) -> None:
        """Start every part and wait until the system is ready.

        Raises:
            AlreadyRunning: another sandbox is running on the folder.
            PartDied, PartNotReady: a part did not start.
            RegistrationFailed: the flow could not be registered.
            PostgresqlMissing: PostgreSQL is required but not installed.
        """
        self.state.acquire(keep=self.options.keeps_state)
        try:
            self.state.write_description({"pid": os.getpid(), "sandbox_id": self.sandbox_id})
            self._watchdog = start_watchdog(self.sandbox_id, [self.state.lock_descriptor])
            start_parts(self)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every part in order, then end all other processes of the sandbox."""
        self.parts.stop(GALLERY)
        self.parts.stop(*(name for name in self.parts if name.startswith(TRIGGER)))
        self.parts.stop(TASK_EXECUTOR, ECS_WORKER)
        self.parts.stop(prefect_server.NAME)
        self.parts.stop(postgresql.NAME, AWS)
        end_marked_processes(self.sandbox_id, grace_seconds=1.0)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog = None
        postgresql.remove_cluster(self.state.postgresql)
        self.state.release()

    def check(self) -> None:
        """Raise PartDied for the first part that exited unexpectedly."""
        self.parts.check()

    def start_part(self, name: str) -> None:
        """Start one part again and wait until it is ready."""
        self.parts.launch(self.parts[name])
        self.parts.wait_ready(name)

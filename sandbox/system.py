"""The whole system on one machine: AWS, Prefect, worker, tasks and trigger as processes."""

import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import psutil

from sandbox import ecs_worker, postgresql, prefect_server
from sandbox.aws_resources import Delivery, ResourceNames, create_resources, rules_document
from sandbox.environments import (
    REGION,
    aws_environment,
    prefect_environment,
    system_environment,
)
from sandbox.errors import SandboxError
from sandbox.orphans import MARK, end_marked_processes, marked_processes, start_watchdog
from sandbox.ports import HOST, free_port
from sandbox.prefect_api import PrefectApi
from sandbox.processes import Part
from sandbox.state_folder import DEFAULT, StateFolder

AWS = "aws"
TASK_EXECUTOR = "task-executor"
TRIGGER = "trigger"


class RegistrationFailed(SandboxError):  # noqa: N818 - the name says what happened
    """The flow could not be registered as a deployment on the work pool."""


@dataclass(frozen=True)
class SandboxOptions:
    """How a sandbox is set up.

    Attributes:
        database: `sqlite`, `postgresql` (a private cluster) or a SQLAlchemy URL.
        triggers: how many Lambda environments poll the queue. SQLite bears one.
        parallel_tasks: how many tasks run at once.
        names: the AWS resources' names.
        delivery: how the notification queue delivers.
        function_timeout: seconds an invocation of the trigger may take.
        handler: the trigger's handler, by its Lambda name.
    """

    database: str = "sqlite"
    triggers: int | None = None
    parallel_tasks: int = field(default_factory=lambda: os.cpu_count() or 1)
    names: ResourceNames = field(default_factory=ResourceNames)
    delivery: Delivery = field(default_factory=Delivery)
    function_timeout: float = 20.0
    handler: str = "lambda_trigger.handler.handler"

    @property
    def trigger_count(self) -> int:
        """How many triggers poll: one on SQLite, four elsewhere, unless said otherwise."""
        return self.triggers or (1 if self.database.startswith("sqlite") else 4)


def _silence(part: str, state: str) -> None:
    del part, state


class Sandbox:
    """The running system; a context manager that leaves no process behind.

    Start it from a thread that lives on (the main one): its parts are started
    from there.
    """

    def __init__(
        self,
        folder: Path = DEFAULT,
        options: SandboxOptions | None = None,
        on_progress: Callable[[str, str], None] = _silence,
    ) -> None:
        """Prepare a sandbox; `start` or `with` starts it.

        Args:
            folder: where its state, logs and database go.
            options: how it is set up.
            on_progress: called with a part's name and what became of it
                (`starting`, `ready`, `stopping`, `stopped`).
        """
        self.options = options or SandboxOptions()
        self.names = self.options.names
        self.state = StateFolder(folder)
        self.sandbox_id = uuid.uuid4().hex
        self.parts: dict[str, Part] = {}
        self._tell = on_progress
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._aws_port, self._prefect_port = free_port(), free_port()
        self.aws_endpoint_url = f"http://{HOST}:{self._aws_port}"
        self.ui_url = f"http://{HOST}:{self._prefect_port}"
        self.prefect_api_url = f"{self.ui_url}/api"
        self.api = PrefectApi(self.prefect_api_url)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        """Return the variables by which a program reaches this sandbox and nothing else."""
        return {
            **aws_environment(self.aws_endpoint_url),
            **prefect_environment(self.state.prefect_home, self.prefect_api_url),
        }

    def client(self, service: str) -> Any:  # noqa: ANN401 - any service's client
        """Return a boto3 client of the sandbox's AWS."""
        variables = aws_environment(self.aws_endpoint_url)
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            endpoint_url=self.aws_endpoint_url,
            region_name=REGION,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )

    def start(self) -> None:
        """Start every part; returns when the system serves.

        Raises:
            AlreadyRunning: another sandbox runs on the folder.
            PartDied, PartNotReady: a part did not come up.
            RegistrationFailed: the flow could not be registered.
            PostgresqlMissing: PostgreSQL is wanted and not installed.
        """
        self.state.acquire()
        try:
            self.state.write_description({"pid": os.getpid(), "sandbox_id": self.sandbox_id})
            self._watchdog = start_watchdog(self.sandbox_id, [self.state.lock_descriptor])
            self._start_parts()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every part in order, and whatever any of them left running."""
        triggers = [name for name in self.parts if name.startswith(TRIGGER)]
        self._stop_together(triggers)
        self._stop_together([TASK_EXECUTOR, ecs_worker.NAME])
        self._stop_together([prefect_server.NAME])
        self._stop_together([postgresql.NAME, AWS])
        end_marked_processes(self.sandbox_id, grace_seconds=1.0)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog = None
        postgresql.remove_cluster(self.state.postgresql)
        self.state.release()

    def check(self) -> None:
        """Raise PartDied for the first part that ended unasked."""
        for part in self.parts.values():
            part.check()

    def stop_part(self, name: str) -> None:
        """Stop one part, as its operator would."""
        self._stop_together([name])

    def kill_part(self, name: str) -> None:
        """SIGKILL one part."""
        self.parts[name].kill()

    def start_part(self, name: str) -> None:
        """Start one part (again), and wait until it serves."""
        self._launch(self.parts[name])
        self._wait_ready(name)

    def processes(self) -> list[psutil.Process]:
        """List every living process of this sandbox."""
        return marked_processes(self.sandbox_id)

    def task_processes(self, run_id: str) -> list[psutil.Process]:
        """List the living processes of the task that runs this flow run."""
        found = []
        for process in self.processes():
            try:
                if process.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _start_parts(self) -> None:
        inherited = {**system_environment(), MARK: self.sandbox_id}
        connected = {**inherited, **self.environment()}
        logs = self.state.logs
        aws = Part(
            AWS,
            [sys.executable, "-m", "sandbox.aws_server", "--port", str(self._aws_port)],
            inherited,
            logs / "aws.log",
            is_ready=lambda: prefect_server.answers(f"{self.aws_endpoint_url}/moto-api/"),
            stop_within=3,
        )
        self._launch(aws)
        database_url = self._start_database(inherited)
        self._launch(
            prefect_server.prefect_server(
                self._prefect_port,
                home=self.state.prefect_home,
                database_url=database_url,
                environment=inherited,
                log=logs / "prefect-server.log",
            )
        )
        self._wait_ready(AWS)
        self._prepare_aws()
        self._launch(self._task_executor(connected))
        self._wait_ready(prefect_server.NAME, TASK_EXECUTOR)
        self._register(connected)
        self._launch(
            ecs_worker.ecs_worker(
                self.api, self.names.task_events_queue, connected, logs / "ecs-worker.log"
            )
        )
        triggers = [
            self._trigger(number, inherited) for number in range(self.options.trigger_count)
        ]
        for trigger in triggers:
            self._launch(trigger)
        self._wait_ready(ecs_worker.NAME, *(trigger.name for trigger in triggers))
        self.state.write_description(
            {
                "pid": os.getpid(),
                "sandbox_id": self.sandbox_id,
                "ui_url": self.ui_url,
                "prefect_api_url": self.prefect_api_url,
                "aws_endpoint_url": self.aws_endpoint_url,
                "inbox_bucket": self.names.inbox_bucket,
                "output_bucket": self.names.output_bucket,
            }
        )

    def _start_database(self, environment: Mapping[str, str]) -> str:
        wanted = self.options.database
        if wanted == "sqlite":
            return prefect_server.sqlite_url(self.state.prefect_home)
        if wanted != "postgresql":
            return wanted
        binaries = postgresql.find_binaries()
        port = free_port()
        data = postgresql.create_cluster(binaries, self.state.postgresql)
        log = self.state.logs / "postgresql.log"
        self._launch(postgresql.postgresql(binaries, data, port, environment, log))
        self._wait_ready(postgresql.NAME)
        return postgresql.database_url(port)

    def _prepare_aws(self) -> None:
        # Otherwise each look at a task moves it one state further, by itself.
        transition = (
            b'{"model_name":"ecs::task","transition":{"progression":"manual","times":1000000}}'
        )
        url = f"{self.aws_endpoint_url}/moto-api/state-manager/set-transition"
        urllib.request.urlopen(url, data=transition, timeout=10).close()  # noqa: S310 - a loopback http URL
        create_resources(self.client, self.names, self.options.delivery, rules_document(self.names))

    def _register(self, environment: Mapping[str, str]) -> None:
        self._tell("deployment", "starting")
        log = self.state.logs / "registration.log"
        command = [sys.executable, "-m", "sandbox.registration"]
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603 - the project's own command
                command,
                check=False,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if done.returncode != 0:
            raise RegistrationFailed(
                f"{' '.join(command)} failed; {log}:\n{log.read_text()[-4000:]}"
            )
        self._tell("deployment", "ready")

    def _task_executor(self, environment: Mapping[str, str]) -> Part:
        return Part(
            TASK_EXECUTOR,
            [
                *(sys.executable, "-m", "sandbox.task_executor"),
                *("--cluster", self.names.cluster),
                *("--parallelism", str(self.options.parallel_tasks)),
                *("--folder", str(self.state.tasks), "--logs", str(self.state.task_logs)),
            ],
            environment,
            self.state.logs / "task-executor.log",
            is_ready="running up to",
        )

    def _trigger(self, number: int, inherited: Mapping[str, str]) -> Part:
        name = f"{TRIGGER}-{number + 1}"
        queue = self.client("sqs").get_queue_url(QueueName=self.names.notifications_queue)
        return Part(
            name,
            [
                *(sys.executable, "-m", "sandbox.event_source"),
                *("--queue-url", queue["QueueUrl"], "--handler", self.options.handler),
                *("--timeout", str(self.options.function_timeout)),
            ],
            # As Lambda's own: AWS, and what the function's settings name.
            {
                **inherited,
                **aws_environment(self.aws_endpoint_url),
                "PREFECT_API_URL": self.prefect_api_url,
                "ECHODROP_RULES_PARAMETER": self.names.rules_parameter,
                "AWS_LAMBDA_FUNCTION_NAME": "echodrop-trigger",
            },
            self.state.logs / f"{name}.log",
            is_ready="polling",
        )

    def _launch(self, part: Part) -> None:
        self._tell(part.name, "starting")
        part.start()
        self.parts[part.name] = part

    def _wait_ready(self, *names: str) -> None:
        waiting = list(names)
        while waiting:
            for name in list(waiting):
                if self.parts[name].poll_ready():
                    waiting.remove(name)
                    self._tell(name, "ready")
            self.check()
            time.sleep(0.05)

    def _stop_together(self, names: Iterable[str]) -> None:
        stopping = [self.parts[name] for name in names if name in self.parts]
        for part in stopping:
            if part.is_running:
                self._tell(part.name, "stopping")
            part.ask_to_stop()
        for part in stopping:
            part.wait_stopped()
            self._tell(part.name, "stopped")

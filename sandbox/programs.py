"""Parts of the sandbox that run the project's own programs: AWS, task executor, triggers."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.parts.errors import SandboxError
from sandbox.parts.processes import Part
from sandbox.prefect.prefect_server import answers
from sandbox.stack.template import TriggerDefinition

AWS = "aws"
TASK_EXECUTOR = "task-executor"
TRIGGER = "trigger"
GALLERY = "gallery"
REGISTRATION = "deployment"


class RegistrationFailed(SandboxError):  # noqa: N818 - the name says what happened
    """The flow could not be registered as a deployment on the work pool."""


def aws_server(
    port: int, endpoint_url: str, keep: Path | None, environment: Mapping[str, str], log: Path
) -> Part:
    """Return the part that runs moto; it keeps its objects in the folder `keep`, if there is one."""
    return Part(
        AWS,
        _module(
            "sandbox.aws.aws_server",
            *("--port", str(port)),
            *(("--keep", str(keep)) if keep else ()),
        ),
        # moto reports this many running tasks of a service; the worker is a part of the sandbox.
        {**environment, "MOTO_ECS_SERVICE_RUNNING": "1"},
        log,
        is_ready=lambda: answers(f"{endpoint_url}/moto-api/"),
        stop_within=3,
    )


def task_executor(
    cluster: str,
    parallelism: int,
    *,
    folder: Path,
    task_logs: Path,
    environment: Mapping[str, str],
    log: Path,
) -> Part:
    """Return the part that runs the cluster's tasks, `parallelism` at a time."""
    return Part(
        TASK_EXECUTOR,
        _module(
            "sandbox.aws.task_executor",
            *("--cluster", cluster, "--parallelism", str(parallelism)),
            *("--folder", str(folder), "--logs", str(task_logs)),
        ),
        environment,
        log,
        is_ready="running up to",
    )


def trigger(
    name: str,
    function: TriggerDefinition,
    queue_url: str,
    *,
    timeout: float,
    environment: Mapping[str, str],
    log: Path,
) -> Part:
    """Return a part that is one Lambda environment of the trigger; `timeout` is in seconds."""
    return Part(
        name,
        _module(
            "sandbox.aws.event_source",
            *("--queue-url", queue_url, "--timeout", str(timeout)),
            *("--handler", function.handler, "--function-name", function.name),
            *("--memory", str(function.memory), "--batch-size", str(function.batch_size)),
            *(["--partial-failures"] if function.partial_failures else []),
        ),
        environment,
        log,
        is_ready="polling",
    )


def gallery(outputs: str, port: int, environment: Mapping[str, str], log: Path) -> Part:
    """Return the part that shows the outputs, s3://bucket/, in a browser."""
    return Part(
        GALLERY,
        _module("echodrop", "gallery", outputs, "--port", str(port)),
        # The sandbox's S3 is open to all users of this machine, too.
        {**environment, "ECHODROP_GALLERY_TOKEN": ""},
        log,
        is_ready="Gallery of",
    )


def register(stack: str, environment: Mapping[str, str], log: Path) -> None:
    """Register a stack's work pool and deployments.

    Raises:
        RegistrationFailed: the command failed; the message has its output.
    """
    command = _module("sandbox.prefect.registration", "--stack", stack)
    with log.open("wb") as output:
        done = subprocess.run(  # noqa: S603 - the project's own command
            command, check=False, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode != 0:
        raise RegistrationFailed(f"{' '.join(command)} failed; {log}:\n{log.read_text()[-4000:]}")


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]

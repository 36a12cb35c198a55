"""Starts the parts of a sandbox in their order, each with the environment that it has in AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from sandbox.aws.aws_resources import keep_tasks_running, make_stack, put_credential
from sandbox.aws.ecs_tasks import environment_of
from sandbox.parts import postgresql
from sandbox.parts.environments import aws_environment, system_environment
from sandbox.parts.orphans import MARK
from sandbox.parts.ports import free_port
from sandbox.parts.processes import Part, SandboxError
from sandbox.prefect import prefect_server

if TYPE_CHECKING:
    from sandbox.system import Sandbox

AWS = "aws"
TASK_EXECUTOR = "task-executor"
ECS_WORKER = "ecs-worker"
TRIGGER = "trigger"
GALLERY = "gallery"
REGISTRATION = "deployment"


class RegistrationFailed(SandboxError):  # noqa: N818 - the name says what happened
    """The flow could not be registered as a deployment on the work pool."""


def _launch(
    sandbox: Sandbox,
    name: str,
    environment: Mapping[str, str],
    *module: str,
    is_ready: Callable[[], bool] | str,
) -> str:
    """Start a part that runs one of the project's modules; return its name."""
    log = sandbox.state.logs / f"{name}.log"
    command = [sys.executable, "-m", *module]
    sandbox.parts.launch(Part(name, command, environment, log, is_ready=is_ready))
    return name


def start_parts(sandbox: Sandbox) -> None:
    """Start every part in its order, and wait until the system is ready."""
    inherited = {**system_environment(), MARK: sandbox.sandbox_id}
    logs = sandbox.state.logs
    kept = ["--keep", str(sandbox.state.objects)] if sandbox.options.keeps_state else []
    _launch(
        sandbox,
        AWS,
        # moto reports this many running tasks of a service; the worker is a part of the sandbox.
        {**inherited, "MOTO_ECS_SERVICE_RUNNING": "1"},
        *("sandbox.aws.aws_server", "--port", str(sandbox.aws_port), *kept),
        is_ready=lambda: prefect_server.answers(f"{sandbox.aws_endpoint_url}/moto-api/"),
    )
    database_url = _start_database(sandbox, inherited)
    sandbox.parts.launch(
        prefect_server.prefect_server(
            sandbox.prefect_port,
            home=sandbox.state.prefect_home,
            database_url=database_url,
            credential=sandbox.options.credential,
            environment=inherited,
            log=logs / "prefect-server.log",
        )
    )
    _start_on_aws(sandbox)


def restart_aws(sandbox: Sandbox) -> None:
    """Start AWS again, with its stack, and then every part that uses it.

    Only the objects are kept, and only with `keeps_state`: messages in queues are lost.
    """
    kept = {AWS, prefect_server.NAME, postgresql.NAME}
    sandbox.parts.stop(*(name for name in sandbox.parts if name not in kept))
    sandbox.start_part(AWS)
    _start_on_aws(sandbox)


def _start_on_aws(sandbox: Sandbox) -> None:
    """Create the stack, and start every part that uses it."""
    inherited = {**system_environment(), MARK: sandbox.sandbox_id}
    connected = {**inherited, **sandbox.addresses()}
    sandbox.parts.wait_ready(AWS)
    keep_tasks_running(sandbox.aws_endpoint_url)
    make_stack(sandbox.client, sandbox.stack, sandbox.options.visibility_timeout)
    if sandbox.options.credential is not None:
        put_credential(sandbox.client, sandbox.stack, sandbox.options.credential)
    waiting = [prefect_server.NAME]
    if sandbox.options.runs_tasks:
        executor = _launch(
            sandbox,
            TASK_EXECUTOR,
            connected,
            *("sandbox.aws.task_executor", "--cluster", sandbox.names.cluster),
            *("--parallelism", str(sandbox.options.parallel_tasks)),
            *("--folder", str(sandbox.state.tasks), "--logs", str(sandbox.state.task_logs)),
            is_ready="running up to",
        )
        waiting.append(executor)
    sandbox.parts.wait_ready(*waiting)
    stack_name = sandbox.stack.resolver.account.stack_name
    _register(sandbox, stack_name, {**connected, **sandbox.environment()})
    waiting = _launch_triggers(sandbox, inherited)
    if sandbox.options.runs_tasks:
        waiting.append(_launch_worker(sandbox, connected))
    if sandbox.options.gallery:
        gallery = _launch(
            sandbox,
            GALLERY,
            # The sandbox's S3 is open to all users of this machine, too.
            {**connected, "ECHODROP_GALLERY_TOKEN": ""},
            *("echodrop", "gallery", f"s3://{sandbox.names.output_bucket}/"),
            *("--port", str(sandbox.gallery_port)),
            is_ready="Gallery of",
        )
        waiting.append(gallery)
    sandbox.parts.wait_ready(*waiting)
    sandbox.state.write_description(
        {
            "pid": os.getpid(),
            "sandbox_id": sandbox.sandbox_id,
            "ui_url": sandbox.ui_url,
            "gallery_url": sandbox.gallery_url if sandbox.options.gallery else None,
            "prefect_api_url": sandbox.prefect_api_url,
            "aws_endpoint_url": sandbox.aws_endpoint_url,
            "inbox_bucket": sandbox.names.inbox_bucket,
            "output_bucket": sandbox.names.output_bucket,
            # The operator's commands take it (operations/clients/stack_settings.py), and read
            # Prefect's credential from the stack's secret, as on AWS.
            "environment": {**sandbox.addresses(), "ECHODROP_STACK": stack_name},
        }
    )


def _launch_worker(sandbox: Sandbox, connected: Mapping[str, str]) -> str:
    """Start the real Prefect ECS worker with the command and the container of the stack's service.

    It passes its own `PREFECT_*` to every task, so it must not get settings of the server.
    """
    definition = sandbox.stack.task_definition("WorkerTask")
    (container,) = definition["containerDefinitions"]
    clients = sandbox.client("ecs"), sandbox.client("secretsmanager")
    environment = {
        **connected,
        **environment_of(definition["family"], *clients),
        # A free port for each sandbox on the host, and short intervals.
        "PREFECT_WORKER_WEBSERVER_PORT": str(free_port()),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "1",
        "PREFECT_WORKER_PREFETCH_SECONDS": "1",
        "PREFECT_CLI_PROMPT": "false",
    }
    pool = sandbox.names.work_pool
    return _launch(
        sandbox,
        ECS_WORKER,
        environment,
        *(*container["command"], "--name", "sandbox"),
        is_ready=lambda: sandbox.api.worker_is_online(pool),
    )


def _start_database(sandbox: Sandbox, environment: Mapping[str, str]) -> str:
    wanted = sandbox.options.database
    if wanted == "sqlite":
        return prefect_server.sqlite_url(sandbox.state.prefect_home)
    if wanted != "postgresql":
        return wanted
    binaries = postgresql.find_binaries()
    port = free_port()
    data = postgresql.create_cluster(binaries, sandbox.state.postgresql)
    log = sandbox.state.logs / "postgresql.log"
    sandbox.parts.launch(postgresql.postgresql(binaries, data, port, environment, log))
    sandbox.parts.wait_ready(postgresql.NAME)
    return postgresql.database_url(port)


def _register(sandbox: Sandbox, stack: str, environment: Mapping[str, str]) -> None:
    """Register a stack's work pool and deployments.

    Raises:
        RegistrationFailed: the command failed; the message has its output.
    """
    sandbox.parts.on_progress(REGISTRATION, "starting")
    command = [sys.executable, "-m", "sandbox.prefect.registration", "--stack", stack]
    log = sandbox.state.logs / "registration.log"
    with log.open("wb") as output:
        done = subprocess.run(  # noqa: S603 - the project's own command
            command, check=False, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode != 0:
        raise RegistrationFailed(f"{' '.join(command)} failed; {log}:\n{log.read_text()[-4000:]}")
    sandbox.parts.on_progress(REGISTRATION, "ready")


def _launch_triggers(sandbox: Sandbox, inherited: Mapping[str, str]) -> list[str]:
    """Start the Lambda environments of the trigger; return their names."""
    function = sandbox.stack.trigger()
    queue = sandbox.client("sqs").get_queue_url(QueueName=function.queue)
    # As in Lambda: AWS variables and those that the template sets.
    environment = {
        **inherited,
        **aws_environment(sandbox.aws_endpoint_url),
        **function.environment,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
    }
    shorter = replace(function, timeout=sandbox.options.function_timeout)
    return [
        _launch(
            sandbox,
            f"{TRIGGER}-{number + 1}",
            environment,
            *("sandbox.aws.event_source", "--queue-url", queue["QueueUrl"]),
            *("--function", json.dumps(asdict(shorter))),
            is_ready="polling",
        )
        for number in range(sandbox.options.trigger_count(function.maximum_concurrency))
    ]

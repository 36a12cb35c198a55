"""Starts the parts of a sandbox in their order, each with the environment that it has in AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox import programs
from sandbox.aws.aws_resources import keep_tasks_running, make_stack, put_credential
from sandbox.aws.scheduler import seconds_of
from sandbox.aws.task_definitions import TaskDefinitions
from sandbox.parts import postgresql
from sandbox.parts.environments import aws_environment, system_environment
from sandbox.parts.orphans import MARK
from sandbox.parts.ports import free_port
from sandbox.prefect import ecs_worker, prefect_server
from sandbox.programs import AWS, TASK_EXECUTOR, TRIGGER

if TYPE_CHECKING:
    from sandbox.system import Sandbox


def start_parts(sandbox: Sandbox) -> None:
    """Start every part in its order, and wait until the system is ready."""
    inherited = {**system_environment(), MARK: sandbox.sandbox_id}
    logs = sandbox.state.logs
    keep = sandbox.state.objects if sandbox.options.keeps_state else None
    sandbox.parts.launch(
        programs.aws_server(
            sandbox.aws_port, sandbox.aws_endpoint_url, keep, inherited, logs / "aws.log"
        )
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
    logs = sandbox.state.logs
    sandbox.parts.wait_ready(AWS)
    keep_tasks_running(sandbox.aws_endpoint_url)
    make_stack(sandbox.client, sandbox.stack, sandbox.options.delivery)
    if sandbox.options.credential is not None:
        put_credential(sandbox.client, sandbox.stack, sandbox.options.credential)
    waiting = [prefect_server.NAME]
    if sandbox.options.runs_tasks:
        waiting.append(TASK_EXECUTOR)
        sandbox.parts.launch(
            programs.task_executor(
                sandbox.names.cluster,
                sandbox.options.parallel_tasks,
                folder=sandbox.state.tasks,
                task_logs=sandbox.state.task_logs,
                environment=connected,
                log=logs / "task-executor.log",
            )
        )
    sandbox.parts.wait_ready(*waiting)
    sandbox.parts.on_progress(programs.REGISTRATION, "starting")
    stack_name = sandbox.stack.resolver.account.stack_name
    operator = {**connected, **sandbox.environment()}
    programs.register(stack_name, operator, logs / "registration.log")
    sandbox.parts.on_progress(programs.REGISTRATION, "ready")
    waiting = _launch_triggers(sandbox, inherited)
    if sandbox.options.runs_tasks:
        waiting.append(ecs_worker.NAME)
        sandbox.parts.launch(
            ecs_worker.ecs_worker(
                sandbox.api,
                sandbox.stack,
                sandbox.names.work_pool,
                {**connected, **_container(sandbox, "WorkerTask")},
                logs / "ecs-worker.log",
            )
        )
    if sandbox.options.gallery:
        waiting.append(programs.GALLERY)
        outputs = f"s3://{sandbox.names.output_bucket}/"
        sandbox.parts.launch(
            programs.gallery(outputs, sandbox.gallery_port, connected, logs / "gallery.log")
        )
    sandbox.parts.wait_ready(*waiting)
    if sandbox.options.watched_speedup is not None:
        # Last, so that a part that is still starting raises no alarm.
        sandbox.parts.wait_ready(
            *_launch_monitoring(sandbox, inherited, sandbox.options.watched_speedup)
        )
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


def _container(sandbox: Sandbox, definition: str) -> dict[str, str]:
    """Return the environment of a task definition's container, including secret values."""
    definitions = TaskDefinitions(sandbox.client("ecs"), sandbox.client("secretsmanager"))
    return definitions.environment(sandbox.stack.task_definition(definition)["family"])


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


def _launch_monitoring(sandbox: Sandbox, inherited: Mapping[str, str], speedup: float) -> list[str]:
    """Start the schedules, with the watchdog, and the alarms."""
    aws = {**inherited, **aws_environment(sandbox.aws_endpoint_url)}
    watchdog = sandbox.stack.properties("Watchdog")
    plan: list[dict[str, Any]] = []
    for name in sandbox.stack.of_type("AWS::Events::Rule"):
        rule = sandbox.stack.rule(name)
        if rule.schedule is None:
            continue
        every = seconds_of(rule.schedule) / speedup
        call = {"handler": watchdog["Handler"], "timeout": watchdog["Timeout"]}
        plan += [
            {"name": watchdog["FunctionName"], "every": every, **call}
            for target in rule.targets
            if target["Arn"] == sandbox.stack.resolver.resolve({"Fn::GetAtt": ["Watchdog", "Arn"]})
        ]
    variables = dict(watchdog["Environment"]["Variables"])
    look_back = float(variables["ECHODROP_LOOK_BACK_SECONDS"]) / speedup
    variables["ECHODROP_LOOK_BACK_SECONDS"] = str(look_back)
    logs = sandbox.state.logs
    sandbox.parts.launch(programs.scheduler(plan, {**aws, **variables}, logs / "scheduler.log"))
    definitions = {
        name: sandbox.stack.properties(name)
        for name in sandbox.stack.of_type("AWS::CloudWatch::Alarm")
    }
    sandbox.parts.launch(
        programs.alarms(
            definitions,
            [watchdog["FunctionName"], sandbox.stack.trigger().name],
            speedup,
            logs=logs,
            environment=aws,
            log=logs / "alarms.log",
        )
    )
    return [programs.SCHEDULER, programs.ALARMS]


def _launch_triggers(sandbox: Sandbox, inherited: Mapping[str, str]) -> list[str]:
    function = sandbox.stack.trigger()
    queue = sandbox.client("sqs").get_queue_url(QueueName=function.queue)
    # As in Lambda: AWS variables and those that the template sets.
    environment = {
        **inherited,
        **aws_environment(sandbox.aws_endpoint_url),
        **function.environment,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
    }
    count = sandbox.options.trigger_count(function.maximum_concurrency)
    names = [f"{TRIGGER}-{number + 1}" for number in range(count)]
    for name in names:
        sandbox.parts.launch(
            programs.trigger(
                name,
                function,
                queue["QueueUrl"],
                timeout=sandbox.options.function_timeout,
                environment=environment,
                log=sandbox.state.logs / f"{name}.log",
            )
        )
    return names

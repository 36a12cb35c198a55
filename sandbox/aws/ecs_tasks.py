"""Reads ECS task requests and definitions as ECS does, and builds task state events."""

import json
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

DETAIL_TYPE = "ECS Task State Change"
# States of a Fargate task, in this order. Source: "Amazon ECS task lifecycle", ECS developer guide.
STARTING_STATES = ("PROVISIONING", "PENDING", "ACTIVATING")
STOPPING_STATES = ("DEACTIVATING", "STOPPING", "DEPROVISIONING")


class NoCommand(Exception):  # noqa: N818 - the name says what happened
    """A task has no command, and the sandbox has no image that defines one."""


def container_override(described: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the command and the variables that RunTask was given, of a described task.

    Raises:
        NoCommand: no container override has a command.
    """
    overrides: list[dict[str, Any]] = described.get("overrides", {}).get("containerOverrides", [])
    for override in overrides:
        if command := override.get("command"):
            variables = override.get("environment", [])
            return list(command), {each["name"]: each["value"] for each in variables}
    raise NoCommand(f"task {described['taskArn']} has no command in its container overrides")


def exit_code(return_code: int) -> int:
    """Convert a process's return code to a container's exit code: 128 + n for signal n."""
    return 128 - return_code if return_code < 0 else return_code


def change_detail(described: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Return the event detail of a state change before STOPPED."""
    over = status in STOPPING_STATES
    return {
        "taskArn": described["taskArn"],
        "clusterArn": described["clusterArn"],
        "taskDefinitionArn": described["taskDefinitionArn"],
        "group": described.get("group", ""),
        "launchType": described.get("launchType", "FARGATE"),
        # As passed to RunTask, including the environment.
        "overrides": described.get("overrides", {}),
        "desiredStatus": "STOPPED" if over else "RUNNING",
        "lastStatus": status,
        "containers": [
            {
                "name": _container_name(described),
                "taskArn": described["taskArn"],
                "lastStatus": "STOPPED" if over else status,
            }
        ],
    }


def stopped_detail(
    described: Mapping[str, Any], code: int | None, *, asked_to_stop: bool, reason: str = ""
) -> dict[str, Any]:
    """Return the event detail of a stopped task.

    `code` is the container's exit code; None if it could not start, for this `reason`.
    """
    container: dict[str, Any] = {
        "name": _container_name(described),
        "containerArn": described["taskArn"].replace(":task/", ":container/"),
        "taskArn": described["taskArn"],
        "lastStatus": "STOPPED",
        "exitCode": code,
    }
    if code == exit_code(-signal.SIGKILL):
        container["reason"] = "killed (SIGKILL)"
    if code is None:
        stop_code, stopped_reason = "TaskFailedToStart", reason
    elif asked_to_stop:
        stop_code, stopped_reason = "UserInitiated", "Task stopped by user"
    else:
        stop_code, stopped_reason = "EssentialContainerExited", "Essential container in task exited"
    return {
        **change_detail(described, STOPPING_STATES[-1]),
        "lastStatus": "STOPPED",
        "stopCode": stop_code,
        "stoppedReason": stopped_reason,
        "stoppedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "containers": [] if code is None else [container],
    }


def _container_name(described: Mapping[str, Any]) -> str:
    overrides = described.get("overrides", {}).get("containerOverrides", [{}])
    return str(overrides[0].get("name", "prefect"))


class SecretUnreadable(Exception):  # noqa: N818 - the name says what happened
    """A secret of the task definition cannot be read, so the task cannot start."""


def environment_of(
    definition: str, ecs: "ECSClient", secrets: "SecretsManagerClient"
) -> dict[str, str]:
    """Return the variables of a task definition's container, including secret values.

    Raises:
        SecretUnreadable: a secret or its key is missing.
    """
    described = ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    (container,) = described["containerDefinitions"]
    return {
        **{each["name"]: each["value"] for each in container.get("environment", [])},
        **{
            each["name"]: _value(each["valueFrom"], secrets)
            for each in container.get("secrets", [])
        },
    }


def _value(source: str, secrets: "SecretsManagerClient") -> str:
    """Read `arn:…:secret:NAME`, or `arn:…:secret:NAME:KEY::` for a value of its JSON.

    Source: "Specifying sensitive data using Secrets Manager", Amazon ECS developer guide.
    """
    parts = source.split(":")
    secret_id, key = ":".join(parts[:7]), ":".join(parts[7:8])
    try:
        secret = secrets.get_secret_value(SecretId=secret_id)["SecretString"]
        return str(json.loads(secret)[key]) if key else secret
    except (ClientError, ValueError, KeyError, TypeError) as problem:
        raise SecretUnreadable(f"{source}: {problem!r}") from problem

"""What an ECS task asks for and what is told of its end: plain data, no AWS call."""

import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DETAIL_TYPE = "ECS Task State Change"
# What a task of Fargate's tells before its end, in this order. Source: "Amazon ECS task lifecycle",
# ECS developer guide.
BEFORE_IT_RUNS = ("PROVISIONING", "PENDING", "ACTIVATING")
BEFORE_ITS_END = ("DEACTIVATING", "STOPPING", "DEPROVISIONING")


class NoCommand(Exception):  # noqa: N818 - the name says what happened
    """A task names no command to run; the sandbox has no image to take one from."""


@dataclass(frozen=True)
class TaskRequest:
    """What RunTask asked for.

    Attributes:
        arn: the task's ARN.
        command: the container's command.
        environment: the container's environment as the task overrides it.
        described: the task as DescribeTasks returns it.
    """

    arn: str
    command: Sequence[str]
    environment: Mapping[str, str]
    described: Mapping[str, Any]

    @property
    def definition(self) -> str:
        """The ARN of its task definition."""
        return str(self.described["taskDefinitionArn"])

    @property
    def task_id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]


def task_request(described: Mapping[str, Any]) -> TaskRequest:
    """Read command and environment from a described task.

    Raises:
        NoCommand: no container override carries a command.
    """
    overrides: list[dict[str, Any]] = described.get("overrides", {}).get("containerOverrides", [])
    for override in overrides:
        if command := override.get("command"):
            environment = {
                variable["name"]: variable["value"] for variable in override.get("environment", [])
            }
            return TaskRequest(described["taskArn"], list(command), environment, described)
    raise NoCommand(f"task {described['taskArn']} has no command in its container overrides")


def exit_code(return_code: int) -> int:
    """Turn a process's return code into a container's: 128 + n for signal n."""
    return 128 - return_code if return_code < 0 else return_code


def change_detail(described: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Make the detail of the event by which AWS tells a change that is not a task's end."""
    over = status in BEFORE_ITS_END
    return {
        "taskArn": described["taskArn"],
        "clusterArn": described["clusterArn"],
        "taskDefinitionArn": described["taskDefinitionArn"],
        "group": described.get("group", ""),
        "launchType": described.get("launchType", "FARGATE"),
        # As RunTask was given them, the environment included.
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
    """Make the detail of the event by which AWS tells that a task stopped.

    Args:
        described: the task as DescribeTasks returned it.
        code: the container's exit code; None when it could not be started.
        asked_to_stop: whether StopTask ended it.
        reason: why, when there is no exit code.
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
        **change_detail(described, BEFORE_ITS_END[-1]),
        "lastStatus": "STOPPED",
        "stopCode": stop_code,
        "stoppedReason": stopped_reason,
        "stoppedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "containers": [] if code is None else [container],
    }


def _container_name(described: Mapping[str, Any]) -> str:
    overrides = described.get("overrides", {}).get("containerOverrides", [{}])
    return str(overrides[0].get("name", "prefect"))

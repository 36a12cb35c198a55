"""A task's request is read and its stop is reported as ECS does."""

import signal
from typing import Any

import pytest

from sandbox.aws.ecs_tasks import NoCommand, container_override, exit_code, stopped_detail

DESCRIBED: dict[str, Any] = {
    "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/default/abc",
    "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/default",
    "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/echodrop:1",
    "overrides": {
        "containerOverrides": [
            {
                "name": "prefect",
                "command": ["python", "-m", "flows.runs.execute_run"],
                "environment": [{"name": "PREFECT_API_URL", "value": "http://127.0.0.1:1/api"}],
            }
        ]
    },
}


def test_command_and_environment_come_from_the_container_override() -> None:
    command, environment = container_override(DESCRIBED)
    assert command == ["python", "-m", "flows.runs.execute_run"]
    assert environment == {"PREFECT_API_URL": "http://127.0.0.1:1/api"}


def test_a_task_without_a_command_raises_with_its_arn() -> None:
    with pytest.raises(NoCommand, match="task/default/abc"):
        container_override({**DESCRIBED, "overrides": {}})


@pytest.mark.parametrize(
    ("returned", "code"), [(0, 0), (1, 1), (-signal.SIGKILL, 137), (-signal.SIGTERM, 143)]
)
def test_a_signal_becomes_a_containers_exit_code(returned: int, code: int) -> None:
    assert exit_code(returned) == code


def test_the_end_names_the_container_with_its_exit_code() -> None:
    detail = stopped_detail(DESCRIBED, 137, asked_to_stop=False)
    (container,) = detail["containers"]
    assert (container["name"], container["exitCode"]) == ("prefect", 137)
    assert (detail["lastStatus"], detail["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    # The trigger finds the flow run by the environment that RunTask was given.
    assert detail["overrides"] == DESCRIBED["overrides"]


def test_a_task_stopped_on_request_has_its_stop_code() -> None:
    assert stopped_detail(DESCRIBED, 143, asked_to_stop=True)["stopCode"] == "UserInitiated"


def test_a_task_that_could_not_start_has_no_container_and_a_reason() -> None:
    detail = stopped_detail(DESCRIBED, None, asked_to_stop=False, reason="no such command")
    assert detail["containers"] == []
    assert (detail["stopCode"], detail["stoppedReason"]) == ("TaskFailedToStart", "no such command")

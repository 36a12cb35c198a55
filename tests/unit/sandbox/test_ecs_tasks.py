"""Tasks are requested, get their environment, end and are reported as in ECS."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.aws.ecs_tasks import (
    NoCommand,
    SecretUnreadable,
    container_override,
    environment_of,
    exit_code,
    stopped_detail,
)
from sandbox.aws.task_executor import _end_container
from sandbox.parts.environments import container_environment
from sandbox.stack.template import UNUSED_PARAMETERS, Stack

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


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prefect-AbCdEf"
STACK = Stack.read(
    UNUSED_PARAMETERS
    | {
        "PrefectApiUrl": "http://127.0.0.1:9/api",
        "PrefectAuth": "auth_string",
        "PrefectSecretArn": SECRET,
    }
)


@pytest.fixture
def definition(session: boto3.Session) -> str:
    wanted = STACK.task_definition("ConversionTask")
    made = session.client("ecs").register_task_definition(**wanted)
    return made["taskDefinition"]["taskDefinitionArn"]


def environment(definition: str) -> dict[str, str]:
    return environment_of(definition, boto3.client("ecs"), boto3.client("secretsmanager"))


def put(value: object) -> None:
    boto3.client("secretsmanager").create_secret(
        Name="prefect-AbCdEf", SecretString=json.dumps(value)
    )


def test_the_conversion_task_gets_the_api_url_and_the_credential(definition: str) -> None:
    put({"auth_string": "echodrop:hush"})
    found = environment(definition)
    assert found["PREFECT_API_URL"] == "http://127.0.0.1:9/api"
    assert found["PREFECT_API_AUTH_STRING"] == "echodrop:hush"


@pytest.mark.parametrize("value", [None, {"api_key": "of the other kind"}, "no object"])
def test_a_task_without_its_secret_cannot_start(definition: str, value: object) -> None:
    if value is not None:
        put(value)
    with pytest.raises(SecretUnreadable, match="secret:prefect-AbCdEf:auth_string"):
        environment(definition)


def test_processes_of_an_ended_task_are_killed_and_those_of_another_task_are_not(
    tmp_path: Path,
) -> None:
    def start(folder: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
            env={**container_environment(), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            # As the task starts the flow's process.
            start_new_session=True,
        )

    ours, another = start(tmp_path / "ours"), start(tmp_path / "another")
    try:
        for process in (ours, another):
            assert process.stdout
            process.stdout.readline()
        _end_container(tmp_path / "ours")
        assert ours.wait(10) == -9
        assert another.poll() is None
    finally:
        for process in (ours, another):
            process.kill()
            process.communicate()

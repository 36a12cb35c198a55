"""A task's container gets the variables and secret values of its definition."""

import json

import boto3
import pytest

from sandbox.aws.ecs_tasks import SecretUnreadable, environment_of
from sandbox.stack.template import UNUSED_PARAMETERS, Stack

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

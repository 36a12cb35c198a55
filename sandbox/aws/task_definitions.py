"""Reads the environment and secrets of a task definition's container, as ECS does."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient


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

"""Reads the environment and secrets of a task definition's container, as ECS does."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient


class SecretUnreadable(Exception):  # noqa: N818 - the name says what happened
    """A secret of the task definition cannot be read, so the task cannot start."""


class TaskDefinitions:
    """Reads each definition once, and its secrets each time."""

    def __init__(self, ecs: "ECSClient", secrets: "SecretsManagerClient") -> None:
        self._ecs, self._secrets = ecs, secrets
        self._known: dict[str, tuple[dict[str, str], dict[str, str]]] = {}

    def environment(self, arn: str) -> dict[str, str]:
        """Return the container's variables, including secret values.

        Raises:
            SecretUnreadable: a secret or its key is missing.
        """
        if arn not in self._known:
            self._known[arn] = self._read(arn)
        plain, secret = self._known[arn]
        return {**plain, **{name: self._value(source) for name, source in secret.items()}}

    def _read(self, arn: str) -> tuple[dict[str, str], dict[str, str]]:
        described = self._ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        (container,) = described["containerDefinitions"]
        plain = {each["name"]: each["value"] for each in container.get("environment", [])}
        return plain, {each["name"]: each["valueFrom"] for each in container.get("secrets", [])}

    def _value(self, source: str) -> str:
        """Read `arn:…:secret:NAME`, or `arn:…:secret:NAME:KEY::` for a value of its JSON.

        Source: "Specifying sensitive data using Secrets Manager", Amazon ECS developer guide.
        """
        parts = source.split(":")
        secret_id, key = ":".join(parts[:7]), ":".join(parts[7:8])
        try:
            secret = self._secrets.get_secret_value(SecretId=secret_id)["SecretString"]
            return str(json.loads(secret)[key]) if key else secret
        except (ClientError, ValueError, KeyError, TypeError) as problem:
            raise SecretUnreadable(f"{source}: {problem!r}") from problem

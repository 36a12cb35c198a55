"""From a deployed stack to the variables that the commands read, so that an operator types little.

A variable that is set wins, unless the stack is named; then the stack does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

import boto3
from botocore.exceptions import BotoCoreError, ClientError

QUEUE = "ECHODROP_QUEUE_URL"
DEAD_LETTERS = "ECHODROP_DEAD_LETTERS_URL"
RULES = "ECHODROP_RULES_PARAMETER"
PREFECT = "PREFECT_API_URL"
STACK = "ECHODROP_STACK"
DEFAULT_STACK = "echodrop"

# By variable, the stack's output that holds its value.
_OUTPUTS = {
    PREFECT: "PrefectUrl",
    RULES: "RulesParameter",
    QUEUE: "UploadQueueUrl",
    DEAD_LETTERS: "DeadLettersUrl",
}
_SECRET = "PREFECT_AUTH_SECRET_ARN"  # noqa: S105 - a variable's name
# Prefect's credential as an operator has it; then theirs is used, not the system's.
_OWN_CREDENTIALS = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", _SECRET)


class SettingMissingError(Exception):
    """Something that the command needs is named nowhere."""


def settings_of_stack(outputs: Mapping[str, str]) -> dict[str, str]:
    """The variables that a stack's outputs give a value to."""
    found = {name: outputs[key] for name, key in _OUTPUTS.items() if outputs.get(key)}
    if secret := outputs.get("PrefectSecretName"):
        found[_SECRET] = secret
    return found


def complete_environment(
    needed: Mapping[str, object],
    stack: str | None = None,
    environment: MutableMapping[str, str] | None = None,
) -> None:
    """Set the variables that a command needs and that are not set, from the stack's outputs.

    The stack is asked only where something is missing, or it is named.

    Args:
        needed: by variable, what was given on the command line in its place.
        stack: its name; left out, ECHODROP_STACK's or `echodrop`.
        environment: this process's where left out.

    Raises:
        SettingMissingError: naming what is set nowhere, and why the stack does not tell.
    """
    variables = os.environ if environment is None else environment
    # The trigger's code needs it wherever it runs.
    name = variables[STACK] = stack or variables.get(STACK) or DEFAULT_STACK
    missing = [name for name, given in needed.items() if not given and not variables.get(name)]
    if not missing and stack is None:
        return
    try:
        found = settings_of_stack(_outputs(name, variables))
    except (BotoCoreError, ClientError) as error:
        what = f"not set: {', '.join(missing)}; and " if missing else ""
        raise SettingMissingError(f"{what}stack {name} can't be asked: {error}") from error
    if any(variables.get(own) for own in _OWN_CREDENTIALS):
        found.pop(_SECRET, None)
    for variable, text in found.items():
        if stack is not None or not variables.get(variable):
            variables[variable] = text
    if missing := [each for each in missing if not variables.get(each)]:
        raise SettingMissingError(f"not set: {', '.join(missing)}; stack {name} does not tell it")


def _outputs(stack: str, variables: Mapping[str, str]) -> dict[str, str]:
    session = boto3.Session()
    region = session.region_name or variables.get("AWS_REGION") or "us-east-1"
    client = session.client("cloudformation", region_name=region)
    (found,) = client.describe_stacks(StackName=stack)["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}

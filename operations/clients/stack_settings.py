"""Sets the variables that the commands read: those of a deployed stack, or of the sandbox that `echodrop up` runs.

A variable that is already set takes precedence, unless the stack is named explicitly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from flows.products.jobs.product_jobs import SWITCH

QUEUE = "ECHODROP_QUEUE_URL"
DEAD_LETTERS = "ECHODROP_DEAD_LETTERS_URL"
OUTPUT = "ECHODROP_OUTPUT"
RULES = "ECHODROP_RULES_PARAMETER"
PREFECT = "PREFECT_API_URL"
STACK = "ECHODROP_STACK"
DEFAULT_STACK = "echodrop"

# The stack output with the value of each variable.
_OUTPUTS = {
    PREFECT: "PrefectUrl",
    RULES: "RulesParameter",
    QUEUE: "UploadQueueUrl",
    DEAD_LETTERS: "DeadLettersUrl",
    SWITCH: "Products",
    OUTPUT: "OutputUri",
}
_SECRET = "PREFECT_AUTH_SECRET_ARN"  # noqa: S105 - the name of a variable
# If an operator has a credential for Prefect, it is used instead of the system's.
_OWN_CREDENTIALS = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", _SECRET)


class SettingMissingError(Exception):
    """A setting that the command needs is missing."""


def settings_of_stack(outputs: Mapping[str, str]) -> dict[str, str]:
    """The variables and values that a stack's outputs supply."""
    found = {name: outputs[key] for name, key in _OUTPUTS.items() if outputs.get(key)}
    if secret := outputs.get("PrefectSecretName"):
        found[_SECRET] = secret
    return found


def complete_environment(
    needed: Mapping[str, object],
    stack: str | None = None,
    environment: MutableMapping[str, str] | None = None,
) -> None:
    """Set the missing variables that a command needs, from the stack's outputs.

    The stack is read only if something is missing, or the stack is named. `needed` has for each
    variable the value from the command line that replaces it. The default `stack` is
    ECHODROP_STACK, or `echodrop`.

    Raises:
        SettingMissingError: a setting is missing, and the stack does not supply it.
    """
    variables = os.environ if environment is None else environment
    # The trigger's code needs this variable in any process.
    name = variables[STACK] = stack or variables.get(STACK) or DEFAULT_STACK
    missing = [name for name, given in needed.items() if not given and not variables.get(name)]
    if not missing and stack is None:
        return
    try:
        found = settings_of_stack(_outputs(name, variables))
    except (BotoCoreError, ClientError) as error:
        what = f"not set: {', '.join(missing)}; and " if missing else ""
        raise SettingMissingError(f"{what}stack {name} can't be read: {error}") from error
    if any(variables.get(own) for own in _OWN_CREDENTIALS):
        found.pop(_SECRET, None)
    for variable, text in found.items():
        if stack is not None or not variables.get(variable):
            variables[variable] = text
    if missing := [each for each in missing if not variables.get(each)]:
        raise SettingMissingError(
            f"not set: {', '.join(missing)}; stack {name} has no output for it"
        )


def _outputs(stack: str, variables: Mapping[str, str]) -> dict[str, str]:
    session = boto3.Session()
    region = session.region_name or variables.get("AWS_REGION") or "us-east-1"
    client = session.client("cloudformation", region_name=region)
    (found,) = client.describe_stacks(StackName=stack)["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}


# The folder of `echodrop up`.
LOCAL = Path(".echodrop/up")
# They name an account, a server or a stack: the operator means these, not the sandbox.
_OF_THE_OPERATOR = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"),
    *("AWS_ENDPOINT_URL", PREFECT, STACK, RULES, QUEUE),
)

_CREDENTIALS = ("AWS_SESSION_TOKEN", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")


def environment_of(folder: Path) -> dict[str, str]:
    """The variables of the sandbox that runs on a folder; empty if none runs there."""
    try:
        description = json.loads((folder / "sandbox.json").read_text())
        os.kill(description["pid"], 0)
    except (OSError, ValueError, KeyError):
        return {}
    found: dict[str, str] = description.get("environment", {})
    return found


def use_sandbox(
    folder: Path | None = None, variables: MutableMapping[str, str] | None = None
) -> Path | None:
    """Take the variables of a running sandbox; return its folder, None if none is used.

    The default `folder` is that of `echodrop up` in this folder, if a sandbox runs there and no
    variable names an account, a server or a stack.

    Raises:
        SettingMissingError: no sandbox runs on the named folder, or it is still starting.
    """
    given = os.environ if variables is None else variables
    if folder is None and any(given.get(name) for name in _OF_THE_OPERATOR):
        return None
    place = folder or LOCAL
    found = environment_of(place)
    if folder is not None and not found:
        raise SettingMissingError(
            f"no sandbox is running on {folder}: start one with echodrop up --folder {folder}"
        )
    if found:
        for name in (*_OF_THE_OPERATOR, *_CREDENTIALS):
            given.pop(name, None)
    given.update(found)
    return place if found else None

"""Finds the sandbox that `echodrop up` runs, so that the commands need no settings for it."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from pathlib import Path

from operations.clients.stack_settings import PREFECT, QUEUE, RULES, STACK, SettingMissingError

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

    Args:
        folder: the sandbox's folder; default: that of `echodrop up` in this folder, if a
            sandbox runs there and no variable names an account, a server or a stack.
        variables: default: the environment of this process.

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

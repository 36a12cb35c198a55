"""Errors that prevent a command from finding anything out, and their exit code."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.rules_table import RulesError
from operations.clients.stack_settings import SettingMissingError
from watchdog.prefect_http import PrefectUnreachableError

EXIT_CODE = 2
INTERRUPTED = 130
UNAVAILABLE = (
    SettingMissingError,
    RulesError,
    TransportError,
    PrefectUnreachableError,
    BotoCoreError,
    ClientError,
    OSError,
)


def print_error(error: Exception) -> int:
    """Print the error on stderr; return the exit code.

    Raises:
        BrokenPipeError: the error itself: nobody reads the output any more, so the command ends.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    text = str(error)
    details = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
    if details.get("Code") == "NoSuchBucket":
        name = details.get("BucketName", "")
        text = f"bucket {name} does not exist: correct the rules document, or create it"
    err = Console(stderr=True)
    err.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    return EXIT_CODE

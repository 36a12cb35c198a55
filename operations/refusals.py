"""When the system could not be asked: nothing is known then, good or bad."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from lambda_trigger.rules_table import RulesError
from lambda_trigger.transport_errors import TransportError
from operations.prefect_api import PrefectUnavailableError
from operations.stack_settings import SettingMissingError

EXIT_CODE = 2
INTERRUPTED = 130
NOT_ASKED = (
    SettingMissingError,
    RulesError,
    TransportError,
    PrefectUnavailableError,
    BotoCoreError,
    ClientError,
    OSError,
)


def refused(error: Exception) -> int:
    """Say it on stderr; give the exit code."""
    Console(stderr=True).print(
        str(error), style="red", markup=False, highlight=False, soft_wrap=True
    )
    return EXIT_CODE

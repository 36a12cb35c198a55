"""Options that several of the operator's commands have, and the settings that complete them."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from operations.clients.prefect_api import RATE
from operations.clients.stack_settings import OUTPUT, complete_environment, use_sandbox

Prefix = Annotated[str, typer.Option(help="Only uploads whose keys start with this.")]
Rules = Annotated[Path | None, typer.Option(help="The rules document (default: the trigger's).")]
Shown = Annotated[
    int, typer.Option("--list", help="How many uploads to list in each class.", min=1)
]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON for each result.")]
Stack = Annotated[
    str | None,
    typer.Option(
        help="Stack whose outputs supply settings that are not given (default: ECHODROP_STACK or echodrop)."
    ),
]
Queue = Annotated[str | None, typer.Option(help="URL of the trigger's queue.")]
PrefectRate = Annotated[
    float | None,
    typer.Option(
        "--prefect-rate",
        help="Maximum requests a minute to Prefect's API (default: 100 at Prefect Cloud, no limit"
        " at your own server).",
        min=1,
    ),
]
Output = Annotated[
    str | None,
    typer.Argument(
        help="Outputs: s3://bucket/prefix/ or a folder (default: the stack's output bucket)."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]


def find_sandbox(folder: Path | None = None) -> None:
    """Use the sandbox that runs on this folder, or the one of `echodrop up` in the current folder.

    Raises:
        SettingMissingError: no sandbox runs on the named folder, or it is still starting.
    """
    if place := use_sandbox(folder):
        typer.echo(f"Using the sandbox in {place}.", err=True)


def complete_settings(stack: str | None, prefect_rate: float | None, **needed: object) -> None:
    """Take settings that neither the command line nor the environment gives from the stack's outputs.

    Without a named stack, it is that of a running sandbox (operations/clients/stack_settings.py). The request rate is passed on in the environment, too.

    Raises:
        SettingMissingError: a setting is missing, and the stack does not supply it.
    """
    if prefect_rate is not None:
        os.environ[RATE] = str(prefect_rate)
    if stack is None:
        find_sandbox()
    complete_environment(needed, stack)


def output_root(named: str | None, stack: str | None) -> str:
    """The output bucket or folder that is named, else the stack's.

    Raises:
        SettingMissingError: as `complete_settings`.
    """
    if named is None or stack is not None:
        complete_settings(stack, None, **{OUTPUT: named})
    return named or os.environ[OUTPUT]


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta:
    """Parse a duration such as `90m`, `24h` or `7d`.

    Raises:
        ValueError: the text is not a duration, or it is longer than a century.
    """
    found = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 90m, 24h or 7d")
    length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    if length > timedelta(days=36525):
        raise ValueError(f"{text!r} is longer than a century")
    return length


def moment(text: str, now: datetime) -> datetime:
    """Parse a duration before now (`24h`), or an ISO 8601 date or time, in UTC unless it has a zone.

    Raises:
        ValueError: the text is neither.
    """
    try:
        return now - duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time such as 24h, 2026-01-31 or 2026-01-31T12:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

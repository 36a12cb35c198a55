"""`echodrop rules`: its commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from operations.options import Rules, Stack, complete_settings

# ruff: noqa: PLC0415 - see operations.commands


def check_rules(
    files: Annotated[list[Path], typer.Argument(help="Rules documents in TOML (docs/rules.md).")],
) -> None:
    """Check rules documents before they are deployed; name the first wrong line of each."""
    from operations.rules.terminal import check_at_terminal

    raise typer.Exit(check_at_terminal(files))


def explain_rules(
    upload: Annotated[str, typer.Argument(help="s3://bucket/key; it need not exist yet.")],
    rules: Rules = None,
    stack: Stack = None,
) -> None:
    """Show which rule takes an upload, and which outcome and sonar model it would get; send nothing.

    Exit code 0: it would not be rejected; 1: it would be; 2: a service did not answer.
    """
    from operations.rules.terminal import explain_at_terminal

    complete_settings(stack, None, ECHODROP_RULES_PARAMETER=rules)
    raise typer.Exit(explain_at_terminal(upload, rules))

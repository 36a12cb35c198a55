"""`echodrop draw` and its options."""

from __future__ import annotations

from typing import Annotated

import typer

from operations.options import Json, PrefectRate, Stack, complete_settings

# ruff: noqa: PLC0415 - see operations.commands


def draw(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET…", help="An output, a folder, s3://output/key or s3://output/prefix/."
        ),
    ],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also outputs whose products are current.")
    ] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Make those in S3 on this machine, not in runs.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be made.")
    ] = False,
    together: Annotated[int, typer.Option(help="Outputs in a run.", min=1, max=500)] = 50,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    as_json: Json = False,
) -> None:
    """Make the echogram, thumbnail and viewer store of outputs that lack current ones.

    Outputs on this machine are drawn here, those in S3 by runs in the backfill lane.
    Exit code 0: all is made, current or requested; 1: something could not be made; 2: a
    target is wrong, or a service did not answer.
    """
    from operations.console.command_errors import print_error
    from operations.draw.terminal import draw_at_terminal, is_in_s3

    try:
        by_runs = any(map(is_in_s3, targets)) and not here and not dry_run
    except ValueError as error:
        raise typer.Exit(print_error(error)) from error
    if by_runs:
        complete_settings(stack, prefect_rate, PREFECT_API_URL=None)
    raise typer.Exit(
        draw_at_terminal(
            targets, force=force, here=here, dry_run=dry_run, together=together, as_json=as_json
        )
    )

"""The operator's commands and their options; each imports its dependencies when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from operations.options import (
    DryRun,
    Json,
    Output,
    PrefectRate,
    Prefix,
    Queue,
    Rules,
    Shown,
    Stack,
    complete_settings,
    output_root,
)

# `--help` should not wait for slow imports.
# ruff: noqa: PLC0415


def status(
    upload: Annotated[
        str | None, typer.Argument(help="s3://bucket/key: follow this upload alone.")
    ] = None,
    *,
    since: Annotated[str, typer.Option(help="How far back: 90m, 24h, 7d.")] = "24h",
    prefix: Prefix = "",
    rules: Rules = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    shown: Shown = 10,
    as_json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again and again until Ctrl-C.")
    ] = False,
) -> None:
    """Show whether the system is healthy, then what became of recent uploads, or of one.

    Exit code 0: nothing needs attention; 1: something does; 2: a service did not answer.
    """
    from operations.status.terminal import status_at_terminal

    complete_settings(stack, prefect_rate, PREFECT_API_URL=None, ECHODROP_RULES_PARAMETER=rules)
    raise typer.Exit(
        status_at_terminal(
            uri=upload,
            since=since,
            prefix=prefix,
            rules=rules,
            shown=shown,
            as_json=as_json,
            watch=watch,
        )
    )


def reconcile(
    *,
    prefix: Prefix = "",
    rules: Rules = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every output in full and compare its checksum.")
    ] = False,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Send lost uploads again, and retry runs that may succeed."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: only print what would be done.")
    ] = False,
    queue: Queue = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    grace: Annotated[
        float,
        typer.Option(help="Minutes until a new upload must have a run, and a run its task.", min=0),
    ] = 15,
    attempts: Annotated[int, typer.Option(help="How often an upload is attempted.", min=0)] = 3,
    rate: Annotated[float, typer.Option(help="Uploads a second to fix.", min=0.001)] = 5,
    limit: Annotated[
        int, typer.Option(help="Maximum uploads to fix; the newest of each class.", min=0)
    ] = 500,
    shown: Shown = 10,
    as_json: Json = False,
) -> None:
    """Compare inbox, outputs and flow runs; show what is lost, torn or damaged, and how to fix it.

    The exit codes are those of status.
    """
    from operations.reconcile.terminal import reconcile_at_terminal

    needed = {"ECHODROP_QUEUE_URL": queue} if fix and not dry_run else {}
    complete_settings(
        stack, prefect_rate, PREFECT_API_URL=None, ECHODROP_RULES_PARAMETER=rules, **needed
    )
    raise typer.Exit(
        reconcile_at_terminal(
            prefix=prefix,
            rules=rules,
            verify=verify,
            fix=fix,
            dry_run=dry_run,
            queue_url=queue or os.environ.get("ECHODROP_QUEUE_URL"),
            grace_minutes=grace,
            attempts=attempts,
            rate=rate,
            limit=limit,
            shown=shown,
            as_json=as_json,
        )
    )


def catalog(
    place: Output = None,
    *,
    stack: Stack = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring the catalogue of all outputs up to date: STAC, a Parquet and a CSV table, the page's list.

    Exit code 0: it is up to date; 1: manifests can't be read, and are not in it; 2: a service did not answer.
    """
    from operations.catalog.terminal import catalog_at_terminal

    named = output_root(place, stack)
    raise typer.Exit(catalog_at_terminal(named, dry_run=dry_run, as_json=as_json))


def backfill(
    archive: Annotated[
        str,
        typer.Argument(
            help="s3://bucket/prefix; s3://…/manifest.json of an S3 inventory; or a list of keys,"
            " .txt or .csv (.gz)."
        ),
    ],
    *,
    rate: Annotated[float, typer.Option(help="Uploads a second.", min=0.001)] = 5,
    outstanding: Annotated[
        int,
        typer.Option(
            help="How many runs of the backfill lane may be unfinished; a batch counts as one.",
            min=1,
        ),
    ] = 200,
    together: Annotated[
        int,
        typer.Option(help="Uploads in a message; they may be converted together.", min=1, max=100),
    ] = 20,
    limit: Annotated[
        int | None, typer.Option(help="Maximum uploads that this call sends.", min=1)
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="The checkpoint's file (default: below .echodrop/backfill, by archive and queue)."
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Ignore the checkpoint and begin at the start.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", hidden=True)] = False,  # former name
    force: Annotated[
        bool, typer.Option("--force", help="Convert again what is published at its version.")
    ] = False,
    queue: Queue = None,
    rules: Rules = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only estimate what is left: bytes, seconds, dollars.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Convert an archive behind the live uploads; after an interruption, the next call resumes.

    Exit code 0: all is sent; 1: not all is sent, or the rules reject some; 2: a service did not answer.
    """
    from operations.backfill.terminal import backfill_at_terminal

    complete_settings(
        stack,
        prefect_rate,
        PREFECT_API_URL=None,
        ECHODROP_RULES_PARAMETER=rules,
        ECHODROP_QUEUE_URL=queue,
    )
    raise typer.Exit(
        backfill_at_terminal(
            archive,
            queue_url=queue or os.environ["ECHODROP_QUEUE_URL"],
            rules=rules,
            checkpoint=checkpoint,
            restart=restart or anew,  # former name
            force=force,
            rate=rate,
            outstanding=outstanding,
            together=together,
            limit=limit,
            dry_run=dry_run,
            as_json=as_json,
        )
    )

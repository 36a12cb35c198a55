"""The operator's commands and their options; each imports its dependencies when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

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
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]

# `--help` should not wait for slow imports.
# ruff: noqa: PLC0415


def status(
    *,
    since: Annotated[str, typer.Option(help="How far back: 90m, 24h, 7d.")] = "24h",
    prefix: Prefix = "",
    rules: Rules = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    shown: Shown = 10,
    as_json: Json = False,
) -> None:
    """Show the state of recent uploads, and which runs are unfinished or have failed.

    Exit code 0: nothing needs attention; 1: something does; 2: a service did not answer.
    """
    from operations.reconcile.terminal import status_at_terminal

    _complete_environment(stack, prefect_rate, PREFECT_API_URL=None, ECHODROP_RULES_PARAMETER=rules)
    raise typer.Exit(
        status_at_terminal(since=since, prefix=prefix, rules=rules, shown=shown, as_json=as_json)
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
    _complete_environment(
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


def replay(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help="Uploads (s3://bucket/key), or files of notifications (events/fixtures/*.json)."
        ),
    ] = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(help="Runs that ended after this: 24h, 2026-01-31, 2026-01-31T12:00."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Runs that ended before this.")] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Runs of uploads whose keys start with this.")
    ] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            help="Runs that ended in this state, such as BadFile (default: all failed and crashed)."
        ),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Runs of this version of echodrop.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Convert uploads again that are already converted.")
    ] = False,
    dlq: Annotated[
        bool, typer.Option("--dlq", help="The messages of the dead-letter queue.")
    ] = False,
    dlq_url: Annotated[
        str | None, typer.Option(help="URL of the dead-letter queue (default: the stack's).")
    ] = None,
    quarantine: Annotated[
        str | None, typer.Option(help="s3://bucket/prefix for dead letters that failed again.")
    ] = None,
    queue: Queue = None,
    function: Annotated[
        str | None, typer.Option(help="Name of the deployed function, for notifications.")
    ] = None,
    inbox: Annotated[
        str | None, typer.Option(help="Bucket that replaces the bucket of the notifications.")
    ] = None,
    rules: Rules = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    rate: Annotated[
        float | None, typer.Option(help="Maximum uploads or messages a second.", min=0.001)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Maximum uploads or messages in total.", min=1)
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send uploads, failed or crashed runs, dead letters or notifications through the trigger again.

    Finished and running uploads are skipped; failed ones are retried. After an interruption, the
    next call resumes. Exit code 0: all is sent or done; 1: not all; 2: a service did not answer.
    """
    by_runs = any(chosen is not None for chosen in (since, until, prefix, outcome, version))
    letters = dlq or dlq_url is not None
    if sum((bool(what), by_runs, letters)) != 1:
        raise typer.BadParameter(
            "give one of: uploads or notifications; --since, --until, --prefix, --outcome or"
            " --version; --dlq"
        )
    uris = [each for each in what or [] if each.startswith("s3://")]
    if uris and len(uris) != len(what or []):
        raise typer.BadParameter("replay uploads and notifications in separate calls")
    if letters:
        _reject_options("dead letters", {"--force": force, "--prefect-rate": prefect_rate})
    elif what and not uris:
        _reject_options(
            "notifications",
            {
                "--force": force,
                "--rate": rate,
                "--limit": limit,
                "--json": as_json,
                "--prefect-rate": prefect_rate,
            },
        )
    if what and not uris:
        from events.terminal import replay_at_terminal

        code = replay_at_terminal(
            [Path(each) for each in what],
            queue_url=queue,
            function=function,
            inbox=inbox,
            dry_run=dry_run,
        )
    elif letters:
        from operations.replay.dead_letter_terminal import replay_dead_letters_at_terminal

        rules_needed = rules or quarantine
        _complete_environment(
            stack,
            None,
            ECHODROP_QUEUE_URL=queue,
            ECHODROP_DEAD_LETTERS_URL=dlq_url,
            ECHODROP_RULES_PARAMETER=rules_needed,
        )
        code = replay_dead_letters_at_terminal(
            dlq_url=dlq_url or os.environ["ECHODROP_DEAD_LETTERS_URL"],
            queue_url=queue or os.environ["ECHODROP_QUEUE_URL"],
            quarantine=quarantine,
            rules=rules,
            dry_run=dry_run,
            rate=rate,
            limit=limit,
            as_json=as_json,
        )
    else:
        from operations.replay.terminal import replay_uploads_at_terminal

        _complete_environment(
            stack,
            prefect_rate,
            PREFECT_API_URL=None,
            ECHODROP_RULES_PARAMETER=rules,
            ECHODROP_QUEUE_URL=queue,
        )
        code = replay_uploads_at_terminal(
            uris=uris,
            since=since,
            until=until,
            prefix=prefix or "",
            outcomes=tuple(outcome or ()),
            version=version or "",
            force=force,
            queue_url=queue or os.environ["ECHODROP_QUEUE_URL"],
            rules=rules,
            dry_run=dry_run,
            rate=rate,
            limit=limit,
            as_json=as_json,
        )
    raise typer.Exit(code)


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
    anew: Annotated[bool, typer.Option("--anew", hidden=True)] = False,
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

    _complete_environment(
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
            restart=restart or anew,
            rate=rate,
            outstanding=outstanding,
            together=together,
            limit=limit,
            dry_run=dry_run,
            as_json=as_json,
        )
    )


def _reject_options(what: str, given: dict[str, object]) -> None:
    """Reject options that would be ignored silently.

    Raises:
        BadParameter: such an option is given.
    """
    for option, value in given.items():
        if value:
            raise typer.BadParameter(f"{option} does not apply to {what}")


def _complete_environment(stack: str | None, prefect_rate: float | None, **needed: object) -> None:
    """Take settings that neither the command line nor the environment gives from the stack's outputs.

    The request rate is passed on in the environment, too.
    """
    from operations.clients.prefect_api import RATE
    from operations.clients.stack_settings import SettingMissingError, complete_environment
    from operations.console.command_errors import print_error

    if prefect_rate is not None:
        os.environ[RATE] = str(prefect_rate)
    try:
        complete_environment(needed, stack)
    except SettingMissingError as error:
        raise typer.Exit(print_error(error)) from error

"""The commands of `operations`, with their options; each imports what it needs when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

Prefix = Annotated[str, typer.Option(help="Only uploads whose keys start so.")]
Rules = Annotated[
    Path | None, typer.Option(help="The rules document; left out, the trigger's own.")
]
Shown = Annotated[int, typer.Option("--list", help="How many of a class to list.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="For programs: a line of JSON each.")]
Stack = Annotated[
    str | None,
    typer.Option(
        help="Stack whose outputs name what is left out; else the environment, else echodrop."
    ),
]
Queue = Annotated[str | None, typer.Option(help="URL of the trigger's queue.")]
PrefectRate = Annotated[
    float | None,
    typer.Option(
        "--prefect-rate",
        help="Requests a minute to Prefect's API at most; left out, 100 at Prefect Cloud and no"
        " limit at a server of your own.",
        min=1,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]

# `--help` should not wait for what a command needs.
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
    """Say what became of the uploads of a window, and what runs, waits or has failed.

    Exit code 0: all is well; 1: something needs attention; 2: the system could not be asked.
    """
    from operations.terminal import status_at_terminal

    _complete_environment(stack, prefect_rate, PREFECT_API_URL=None, ECHODROP_RULES_PARAMETER=rules)
    raise typer.Exit(
        status_at_terminal(since=since, prefix=prefix, rules=rules, shown=shown, as_json=as_json)
    )


def reconcile(
    *,
    prefix: Prefix = "",
    rules: Rules = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every output whole and compare its checksum.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Send what was lost again, retry what may pass.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: only say what would be done.")
    ] = False,
    queue: Queue = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    grace: Annotated[
        float, typer.Option(help="Minutes a new upload, or the task of a run, may take.", min=0)
    ] = 15,
    attempts: Annotated[int, typer.Option(help="How often one upload is tried.", min=0)] = 3,
    rate: Annotated[float, typer.Option(help="Uploads a second to mend.", min=0.001)] = 5,
    limit: Annotated[
        int, typer.Option(help="Uploads to mend at most; the newest of each class.", min=0)
    ] = 500,
    shown: Shown = 10,
    as_json: Json = False,
) -> None:
    """Compare inbox, outputs and flow runs: what was lost, torn or damaged, and what mends it.

    Exit codes as for status.
    """
    from operations.terminal import reconcile_at_terminal

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
        typer.Argument(help="Uploads, s3://bucket/key; or notifications, events/fixtures/*.json."),
    ] = None,
    *,
    since: Annotated[
        str | None, typer.Option(help="Runs that ended since: 24h, 2026-01-31, 2026-01-31T12:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Runs that ended until then.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Runs of uploads whose keys start so.")] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(help="Runs that ended so, such as BadFile; else all failed and crashed."),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Runs that were asked of this version of echodrop.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Convert anew what was converted already.")
    ] = False,
    dlq: Annotated[bool, typer.Option("--dlq", help="The dead-letter queue's messages.")] = False,
    dlq_url: Annotated[
        str | None, typer.Option(help="URL of another dead-letter queue than the stack's.")
    ] = None,
    quarantine: Annotated[
        str | None, typer.Option(help="s3://bucket/prefix for dead letters that fail again.")
    ] = None,
    queue: Queue = None,
    function: Annotated[
        str | None, typer.Option(help="Name of the deployed function, for notifications.")
    ] = None,
    inbox: Annotated[
        str | None, typer.Option(help="Bucket to put in place of the notifications' own.")
    ] = None,
    rules: Rules = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    rate: Annotated[float | None, typer.Option(help="So many a second.", min=0.001)] = None,
    limit: Annotated[int | None, typer.Option(help="So many at most.", min=1)] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send through the trigger again: an upload, failed or crashed runs, dead letters, notifications.

    What is finished or under way is left, what failed is run again; stopped at any point, the next
    call goes on. Exit code 0: all is sent or done; 1: not all; 2: the system could not be asked.
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
        raise typer.BadParameter("uploads and notifications are replayed by a call each")
    if letters:
        _refuse("dead letters", {"--force": force, "--prefect-rate": prefect_rate})
    elif what and not uris:
        _refuse(
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
        from operations.dead_letter_terminal import replay_dead_letters_at_terminal

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
        from operations.replay_terminal import replay_uploads_at_terminal

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
            help="Runs of the backfill lane that may be unended; a batch of files is one.", min=1
        ),
    ] = 200,
    together: Annotated[
        int, typer.Option(help="Uploads to a message, to be converted together.", min=1, max=100)
    ] = 20,
    limit: Annotated[int | None, typer.Option(help="Uploads of this call at most.", min=1)] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Left out: below .echodrop/backfill, by archive and queue.")
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin at the beginning, whatever the checkpoint says.")
    ] = False,
    queue: Queue = None,
    rules: Rules = None,
    stack: Stack = None,
    prefect_rate: PrefectRate = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what is left: bytes, seconds, dollars.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have an archive converted, behind the live uploads; stopped at any point, the next call goes on.

    Exit code 0: all is sent; 1: not yet, or the rules refuse some; 2: something can't be read or asked.
    """
    from operations.backfill_terminal import backfill_at_terminal

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
            anew=anew,
            rate=rate,
            outstanding=outstanding,
            together=together,
            limit=limit,
            dry_run=dry_run,
            as_json=as_json,
        )
    )


def _refuse(what: str, given: dict[str, object]) -> None:
    """Refuse options that would be ignored silently.

    Raises:
        BadParameter: naming the first that is given.
    """
    for option, value in given.items():
        if value:
            raise typer.BadParameter(f"{option} is not for {what}")


def _complete_environment(stack: str | None, prefect_rate: float | None, **needed: object) -> None:
    """Have the stack's outputs name what neither the command line nor the environment does.

    The rate of requests goes the same way: who connects to Prefect reads the environment.
    """
    from operations.prefect_api import RATE
    from operations.refusals import refused
    from operations.stack_settings import SettingMissingError, complete_environment

    if prefect_rate is not None:
        os.environ[RATE] = str(prefect_rate)
    try:
        complete_environment(needed, stack)
    except SettingMissingError as error:
        raise typer.Exit(refused(error)) from error

"""`echodrop replay`: its options, and which of the three replays they choose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from operations.options import DryRun, Json, PrefectRate, Queue, Rules, Stack, complete_settings

# ruff: noqa: PLC0415 - see operations.commands


def _outcomes(texts: list[str] | None) -> list[str] | None:
    from operations.replay.choice import outcome_named

    try:
        return None if texts is None else [outcome_named(text) for text in texts]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


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
            callback=_outcomes,
            help="Runs that ended in this state, such as BadFile (default: all failed and crashed).",
        ),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Runs of this version of echodrop.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Convert uploads again that are already converted.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--allow-partial", help="Convert the intact part of damaged uploads.")
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
        _reject_options(
            "dead letters",
            {"--force": force, "--allow-partial": partial} | {"--prefect-rate": prefect_rate},
        )
    elif what and not uris:
        of_uploads = {
            "--force": force,
            "--allow-partial": partial,
            "--rate": rate,
            "--limit": limit,
            "--json": as_json,
        }
        _reject_options("notifications", {**of_uploads, "--prefect-rate": prefect_rate})
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

        needed = {"ECHODROP_QUEUE_URL": queue, "ECHODROP_DEAD_LETTERS_URL": dlq_url}
        complete_settings(stack, None, ECHODROP_RULES_PARAMETER=rules or quarantine, **needed)
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

        needed = {"PREFECT_API_URL": None, "ECHODROP_QUEUE_URL": queue}
        complete_settings(stack, prefect_rate, ECHODROP_RULES_PARAMETER=rules, **needed)
        code = replay_uploads_at_terminal(
            uris=uris,
            since=since,
            until=until,
            prefix=prefix or "",
            outcomes=tuple(outcome or ()),
            version=version or "",
            force=force,
            allow_partial=partial,
            queue_url=queue or os.environ["ECHODROP_QUEUE_URL"],
            rules=rules,
            dry_run=dry_run,
            rate=rate,
            limit=limit,
            as_json=as_json,
        )
    raise typer.Exit(code)


def _reject_options(what: str, given: dict[str, object]) -> None:
    """Reject options that would be ignored silently.

    Raises:
        BadParameter: such an option is given.
    """
    for option, value in given.items():
        if value:
            raise typer.BadParameter(f"{option} does not apply to {what}")

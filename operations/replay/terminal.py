"""`echodrop replay`: its options, and which of the three replays they choose."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from events.replay import replay_at_terminal
from operations.clients.stack_settings import DEAD_LETTERS, QUEUE
from operations.console.command_errors import INTERRUPTED, UNAVAILABLE, print_error
from operations.console.options import (
    DryRun,
    Json,
    PrefectRate,
    Queue,
    Rules,
    Stack,
    complete_settings,
    moment,
)
from operations.replay.choice import RunChoice, outcome_named
from operations.replay.replaying import Replay


def _outcomes(texts: list[str] | None) -> list[str] | None:
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
) -> int:
    """Send uploads, failed or crashed runs, dead letters or notifications through the trigger again.

    Finished and running uploads are skipped; failed ones are retried. After an interruption, the
    next call resumes. Exit code 0: all is sent or done; 1: not all; 2: a service did not answer.
    """
    by_runs = any(chosen is not None for chosen in (since, until, prefix, outcome, version))
    if sum((bool(what), by_runs, dlq)) != 1:
        raise typer.BadParameter(
            "give one of: uploads or notifications; --since, --until, --prefix, --outcome or"
            " --version; --dlq"
        )
    uris = [each for each in what or [] if each.startswith("s3://")]
    if uris and len(uris) != len(what or []):
        raise typer.BadParameter("replay uploads and notifications in separate calls")
    runs_alone = {"--force": force, "--allow-partial": partial, "--prefect-rate": prefect_rate}
    if what and not uris:
        paced = {"--rate": rate, "--limit": limit, "--json": as_json}
        _reject_options("notifications", runs_alone | paced)
        files = [Path(each) for each in what]
        return replay_at_terminal(
            files, queue_url=queue, function=function, inbox=inbox, dry_run=dry_run
        )
    if dlq:
        _reject_options("dead letters", runs_alone)
    call = Replay(queue or "", rules, dry_run, rate, limit, as_json)
    try:
        needed = {DEAD_LETTERS if dlq else "PREFECT_API_URL": None, QUEUE: queue}
        complete_settings(stack, prefect_rate, ECHODROP_RULES_PARAMETER=rules, **needed)
        call.queue_url = queue or os.environ[QUEUE]
        if dlq:
            return call.dead_letters(os.environ[DEAD_LETTERS])
        now = datetime.now(UTC)
        choice = RunChoice(
            moment(since, now) if since else None,
            moment(until, now) if until else now if force else None,
            prefix or "",
            tuple(outcome or ()),
            version or "",
        )
        if force and by_runs and not until:
            # The next call would choose the uploads that this one converts, too.
            again = f"to resume after an interruption, add --until {now.isoformat()}"
            Console(stderr=True).print(again, highlight=False, soft_wrap=True)
        return call.uploads(uris or choice, now, force=force, allow_partial=partial)
    except KeyboardInterrupt:
        call.end("interrupted; nothing is lost, and the next call resumes")
        return INTERRUPTED
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)


def _reject_options(what: str, given: Mapping[str, object]) -> None:
    """Reject options that would be ignored silently.

    Raises:
        BadParameter: such an option is given.
    """
    for option, value in given.items():
        if value:
            raise typer.BadParameter(f"{option} does not apply to {what}")

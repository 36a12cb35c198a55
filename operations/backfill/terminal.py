"""`echodrop backfill` at a terminal."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lambda_trigger.decisions.outcomes import BACKFILL
from lambda_trigger.decisions.rules_document import Rules as ParsedRules
from lambda_trigger.decisions.wording import counted
from operations.backfill.archive_sender import TOGETHER, Backfill, WantedConversions
from operations.backfill.checkpoint import Checkpoint, checkpoint_of, default_place
from operations.clients.connections import connect
from operations.clients.stack_settings import QUEUE
from operations.console.command_errors import INTERRUPTED, UNAVAILABLE, print_error
from operations.console.options import Json, PrefectRate, Queue, Rules, Stack, complete_settings
from operations.console.printing import print_json, progress_bar, write, write_name
from operations.findings.classification import ClassificationLimits
from operations.inventory.archive_items import Listing, archive_at
from operations.inventory.upload_inspection import UploadInspector
from operations.sending.back_pressure import RUNS, BackPressure, Pace
from operations.sending.estimates import length

# Uploads a second that one Prefect server accepts in addition to the live ones.
RATE = 5.0


def backfill(
    archive: Annotated[
        str,
        typer.Argument(
            help="s3://bucket/prefix; s3://…/manifest.json of an S3 inventory; or a list of keys,"
            " .txt or .csv (.gz)."
        ),
    ],
    *,
    rate: Annotated[float, typer.Option(help="Uploads a second.", min=0.001)] = RATE,
    outstanding: Annotated[
        int,
        typer.Option(
            help="How many runs of the backfill lane may be unfinished; a batch counts as one.",
            min=1,
        ),
    ] = RUNS,
    together: Annotated[
        int,
        typer.Option(help="Uploads in a message; they may be converted together.", min=1, max=100),
    ] = TOGETHER,
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
) -> int:
    """Convert an archive behind the live uploads; after an interruption, the next call resumes.

    Exit code 0: all is sent; 1: not all is sent, or the rules reject some; 2: a service did not answer.
    """
    began = time.monotonic()
    noted: Checkpoint | None = None
    try:
        complete_settings(
            stack,
            prefect_rate,
            PREFECT_API_URL=None,
            ECHODROP_RULES_PARAMETER=rules,
            ECHODROP_QUEUE_URL=queue,
        )
        queue_url = queue or os.environ[QUEUE]
        services = connect(rules)
        active_rules = services.rules
        found = archive_at(archive, services.s3, active_rules.inbox_bucket)
        if isinstance(found, Listing):
            _check_bucket(found.bucket, active_rules)
        content = found.content()
        place = checkpoint or default_place(archive, queue_url)
        noted = checkpoint_of(archive, queue_url, place, content=None if restart else content)
        if restart:
            noted = Checkpoint(place, archive, queue_url, content)
        sqs, runs = services.sqs, services.runs
        pressure = BackPressure(
            *(sqs, queue_url, runs, BACKFILL), runs=outstanding, together=together
        )
        inspector = UploadInspector(services, ClassificationLimits(), datetime.now(UTC))
        backfill = Backfill(
            *(active_rules, found, noted, sqs, pressure, Pace(rate), limit, together),
            wanted=WantedConversions(services, inspector, force).generation_of,
        )
        if dry_run:
            estimate = backfill.estimate()
            line = estimate.sentence(rate, runs.at_once_in(BACKFILL))
            values = {"estimate": estimate.as_json(rate), **_counts(noted)}
            _print(values, line, noted, as_json=as_json)
            return 1 if noted.refused else 0
        stopped = (
            "the archive was sent by an earlier call; --restart begins again" if noted.ended else ""
        )
        with progress_bar() as progress:
            backfill.on_wait = lambda why: progress(f"waiting: {why}", noted.sent, None)
            for _ in backfill.run():
                progress("uploads", noted.sent, None)
    except KeyboardInterrupt:
        if noted:
            _summary(noted, began, "interrupted; the next call resumes", as_json=as_json)
        return INTERRUPTED
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)
    if not noted.ended:
        stopped = "the limit was reached; the next call resumes"
    _summary(noted, began, stopped, as_json=as_json)
    return 0 if noted.ended and not noted.refused else 1


def _check_bucket(bucket: str, rules: ParsedRules) -> None:
    if bucket not in {rules.inbox_bucket, *rules.archive_buckets}:
        raise ValueError(
            f"{bucket} is neither the inbox nor an archive: add it to archive_buckets in the rules"
        )


def _counts(noted: Checkpoint) -> dict[str, object]:
    names = ("sent", "messages", "bytes", "left_out", "refused", "skipped", "ended")
    return {name: getattr(noted, name) for name in names} | {"checkpoint": str(noted.path)}


def _summary(noted: Checkpoint, began: float, stopped: str, *, as_json: bool) -> None:
    line = (
        f"{counted(noted.sent, 'upload')} sent in {counted(noted.messages, 'message')},"
        f" {counted(noted.bytes, 'byte')}; "
        f"this call took {length(time.monotonic() - began)}"
    )
    _print(_counts(noted), f"{line}; {stopped}" if stopped else line, noted, as_json=as_json)


def _print(values: dict[str, object], line: str, noted: Checkpoint, *, as_json: bool) -> None:
    if as_json:
        print_json(values)
        return
    console = Console()
    write(console, line)
    for what, reasons in (
        ("not sent", noted.skipped),
        ("left out by the rules", noted.left_out),
        ("refused by the rules", noted.refused),
    ):
        if reasons:
            counts = (f"{reason} {count:,}" for reason, count in reasons.most_common())
            write(console, f"{what}: {', '.join(counts)}")
    write_name(console, f"checkpoint: {noted.path}")

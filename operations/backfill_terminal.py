"""A backfill, as a person at a terminal sees it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from lambda_trigger.outcomes import BACKFILL
from lambda_trigger.rules_document import Rules
from operations.archive_items import Listing, archive_at
from operations.back_pressure import RUNS, BackPressure
from operations.backfill import TOGETHER, Backfill
from operations.backfill_checkpoint import Checkpoint, checkpoint_of, default_place
from operations.connections import connect
from operations.estimates import length
from operations.pacing import Pace
from operations.progress import progress_bar
from operations.refusals import INTERRUPTED, NOT_ASKED, refused
from operations.report import json_line

# Uploads a second: what one Prefect server takes beside the live ones.
RATE = 5.0


def backfill_at_terminal(
    archive: str,
    *,
    queue_url: str,
    rules: Path | None = None,
    checkpoint: Path | None = None,
    anew: bool = False,
    rate: float = RATE,
    outstanding: int = RUNS,
    together: int = TOGETHER,
    limit: int | None = None,
    dry_run: bool = False,
    as_json: bool = False,
) -> int:
    """Have an archive converted, in the backfill lane.

    Args:
        archive: `s3://bucket/prefix`, an inventory's manifest.json, or a list of keys.
        queue_url: of the trigger's queue.
        rules: the rules document; left out, the trigger's own.
        checkpoint: its file; left out, one below `.echodrop/backfill`.
        anew: begin at the archive's beginning.
        rate: uploads a second.
        outstanding: runs of the lane that may be unended at a time.
        together: uploads to a message.
        limit: uploads of this call at most.
        dry_run: go over what is left and only say what it would cost.
        as_json: one line of JSON in place of the summary.

    Returns:
        An exit code: 0 the archive's end was reached; 1 it was not, or the rules
        refuse some of it; 2 something could not be read or asked; 130 interrupted.
    """
    began = time.monotonic()
    noted: Checkpoint | None = None
    try:
        connections = connect(rules)
        in_force = connections.services.rules
        found = archive_at(archive, connections.services.s3, in_force.inbox_bucket)
        if isinstance(found, Listing):
            _check_bucket(found.bucket, in_force)
        content = found.content()
        place = checkpoint or default_place(archive, queue_url)
        noted = checkpoint_of(archive, queue_url, place, content=None if anew else content)
        if anew:
            noted = Checkpoint(place, archive, queue_url, content)
        region = connections.services.s3.meta.region_name
        sqs = connections.session.client("sqs", region_name=region)
        pressure = BackPressure(
            *(sqs, queue_url, connections.runs, BACKFILL), runs=outstanding, together=together
        )
        backfill = Backfill(
            in_force, found, noted, sqs, pressure, Pace(rate), limit=limit, together=together
        )
        if dry_run:
            estimate = backfill.estimate()
            line = estimate.told(rate, connections.runs.at_once_in(BACKFILL))
            told = {"estimate": estimate.as_json(rate), **_counts(noted)}
            _tell(told, line, noted, as_json=as_json)
            return 1 if noted.refused else 0
        stopped = "its end, in an earlier call; --anew begins again" if noted.ended else ""
        with progress_bar() as progress:
            backfill.told = lambda why: progress(f"waiting: {why}", noted.sent, None)
            for _ in backfill.run():
                progress("uploads", noted.sent, None)
    except KeyboardInterrupt:
        if noted:
            _summary(noted, began, "interrupted; the next call goes on", as_json=as_json)
        return INTERRUPTED
    except (ValueError, *NOT_ASKED) as error:
        return refused(error)
    if not noted.ended:
        stopped = "the limit; the next call goes on"
    _summary(noted, began, stopped, as_json=as_json)
    return 0 if noted.ended and not noted.refused else 1


def _check_bucket(bucket: str, rules: Rules) -> None:
    if bucket not in {rules.inbox_bucket, *rules.archive_buckets}:
        raise ValueError(
            f"{bucket} is neither the inbox nor an archive: name it in archive_buckets of the rules"
        )


def _counts(noted: Checkpoint) -> dict[str, object]:
    return {
        "sent": noted.sent,
        "messages": noted.messages,
        "bytes": noted.bytes,
        "left_out": dict(noted.left_out),
        "refused": dict(noted.refused),
        "ended": noted.ended,
        "checkpoint": str(noted.path),
    }


def _summary(noted: Checkpoint, began: float, stopped: str, *, as_json: bool) -> None:
    line = (
        f"{noted.sent:,} uploads sent in {noted.messages:,} messages, {noted.bytes:,} bytes; "
        f"this call took {length(time.monotonic() - began)}"
    )
    _tell(
        _counts(noted), f"{line}; stopped by {stopped}" if stopped else line, noted, as_json=as_json
    )


def _tell(told: dict[str, object], line: str, noted: Checkpoint, *, as_json: bool) -> None:
    if as_json:
        print(json_line(told))  # noqa: T201 - the command's result
        return
    console = Console()
    console.print(line, highlight=False, soft_wrap=True)
    for what, reasons in (("left out", noted.left_out), ("refused", noted.refused)):
        if reasons:
            console.print(f"{what} by the rules: {_listed(reasons)}", highlight=False)
    console.print(f"checkpoint: {noted.path}", highlight=False, markup=False, soft_wrap=True)


def _listed(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())

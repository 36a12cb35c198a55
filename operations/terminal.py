"""The operator's commands, as a person at a terminal sees them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from events.sending import QueueTarget
from operations.classification import ATTEMPTS, GRACE_MINUTES, Limits
from operations.connections import connect
from operations.durations import duration
from operations.findings import Finding, Kind
from operations.mending import MENDED_AT_MOST, RATE, Mender
from operations.mending_order import mend_in_order
from operations.pacing import Pace
from operations.progress import progress_bar
from operations.reconciliation import Reconciliation
from operations.refusals import NOT_ASKED, refused
from operations.report import Tally, json_line
from operations.scope import Scope
from operations.stack_settings import SettingMissingError
from operations.status import Status


def reconcile_at_terminal(
    *,
    prefix: str = "",
    rules: Path | None = None,
    verify: bool = False,
    fix: bool = False,
    dry_run: bool = False,
    queue_url: str | None = None,
    grace_minutes: float = GRACE_MINUTES,
    attempts: int = ATTEMPTS,
    rate: float | None = RATE,
    limit: int = MENDED_AT_MOST,
    shown: int = 10,
    as_json: bool = False,
) -> int:
    """Compare inbox, outputs and flow runs; print every class with its count, list and remedy.

    Args:
        prefix: only uploads whose keys start so.
        rules: the rules document; left out, the trigger's own.
        verify: read every output whole and compare its checksum.
        fix: notify the trigger of what is lost, retry what may pass.
        dry_run: with `fix`, only say what would be done.
        queue_url: of the trigger's queue; `fix` needs it.
        grace_minutes: how young an upload without a run may be, and not count as lost;
            and how long a run may be without a task, and not count as dead.
        attempts: starts of a run, and new generations of an upload, before `fix` leaves it alone.
        rate: how many uploads a second to mend at most.
        limit: how many uploads to mend at most, see `mending_order`.
        shown: how many of a class to list.
        as_json: a line of JSON for each finding that is not done or ignored,
            one for each that was mended, and one with the summary.

    Returns:
        An exit code: 0 all is well, 1 something needs attention (mended just
        now or not), 2 the system could not be asked.
    """
    if fix and not queue_url and not dry_run:
        return refused(SettingMissingError("not set: --queue, the URL of the trigger's queue"))
    tally = Tally(shown)
    try:
        connections = connect(rules)
        hours = connections.services.rules.waiting_limit_hours
        limits = Limits(
            arriving=timedelta(minutes=grace_minutes),
            taskless=timedelta(minutes=grace_minutes),
            waiting=timedelta(hours=hours),
            attempts=attempts,
        )
        with progress_bar() as progress:
            reconciliation = Reconciliation(
                connections.services, Scope(prefix, verify=verify), limits, progress=progress
            )
            findings = _counted(reconciliation.findings(), tally, as_json=as_json)
            region = connections.services.s3.meta.region_name
            sqs = connections.session.client("sqs", region_name=region)
            mender = Mender(
                *(QueueTarget(sqs, queue_url or ""), connections.runs, attempts, dry_run),
                Pace(None if dry_run else rate),
                limit if fix else 0,
            )
            mending = mend_in_order(findings, mender, connections.runs)
            for number, mended in enumerate(mending, start=1):
                progress("mending", number, None)
                tally.add_mended(mended)
                if as_json:
                    _write({"uri": mended.finding.uri, "fix": mended.what})
    except NOT_ASKED as error:
        return refused(error)
    return _told(tally, reconciliation, as_json=as_json)


def status_at_terminal(
    *,
    since: str = "24h",
    prefix: str = "",
    rules: Path | None = None,
    shown: int = 10,
    as_json: bool = False,
) -> int:
    """Print what became of the uploads of a window, and what runs, waits or has failed besides.

    Args:
        since: how far back: `90m`, `24h`, `7d`.
        prefix: only uploads whose keys start so.
        rules: the rules document; left out, the trigger's own.
        shown: how many of a class to list, the oldest first.
        as_json: a line of JSON for each finding that is not done or ignored,
            and one with the counts.

    Returns:
        An exit code: 0 all is well, 1 something needs attention, 2 the system
        could not be asked.
    """
    tally = Tally(shown)
    try:
        window = duration(since)
        connections = connect(rules)
        limits = Limits(waiting=timedelta(hours=connections.services.rules.waiting_limit_hours))
        with progress_bar() as progress:
            reconciliation = Reconciliation(
                connections.services, Scope(prefix), limits, progress=progress
            )
            status = Status(reconciliation, window)
            for _ in _counted(status.findings(), tally, as_json=as_json):
                pass
    except (ValueError, *NOT_ASKED) as error:
        return refused(error)
    return _told(tally, reconciliation, as_json=as_json)


def _told(tally: Tally, reconciliation: Reconciliation, *, as_json: bool) -> int:
    if as_json:
        _write(tally.summary())
    else:
        tally.print(Console(), reconciliation.now)
    return 1 if tally.needs_attention else 0


def _counted(findings: Iterator[Finding], tally: Tally, *, as_json: bool) -> Iterator[Finding]:
    for finding in findings:
        tally.add(finding)
        if as_json and finding.kind not in {Kind.DONE, Kind.IGNORED}:
            _write(finding.as_json())
        yield finding


def _write(values: object) -> None:
    sys.stdout.write(json_line(values) + "\n")

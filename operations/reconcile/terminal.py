"""`echodrop reconcile` at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from events.sending import QueueTarget
from operations.clients.connections import connect
from operations.clients.stack_settings import SettingMissingError
from operations.console.command_errors import UNAVAILABLE, print_error
from operations.console.progress import progress_bar
from operations.console.report import FindingTally, json_line
from operations.findings.classification import ATTEMPTS, GRACE_MINUTES, ClassificationLimits
from operations.findings.findings import UploadFinding
from operations.inventory.scope import Scope
from operations.reconcile.fix_order import fix_in_order
from operations.reconcile.reconciliation import Reconciliation
from operations.sending.fixing import FIX_LIMIT, RATE, Fixer
from operations.sending.pacing import Pace


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
    limit: int = FIX_LIMIT,
    shown: int = 10,
    as_json: bool = False,
) -> int:
    """Compare inbox, outputs and flow runs; print every class with its count, list and remedy.

    The arguments are the options of the command, see `operations.commands`.

    Returns:
        An exit code: 0 nothing needs attention, 1 something does (fixed just now or
        not), 2 a service did not answer.
    """
    if fix and not queue_url and not dry_run:
        return print_error(SettingMissingError("not set: --queue, the URL of the trigger's queue"))
    tally = FindingTally(shown)
    try:
        connections = connect(rules)
        hours = connections.services.rules.waiting_limit_hours
        limits = ClassificationLimits(
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
            fixer = Fixer(
                *(QueueTarget(sqs, queue_url or ""), connections.runs, attempts, dry_run),
                Pace(None if dry_run else rate),
                limit if fix else 0,
            )
            results = fix_in_order(findings, fixer, connections.runs)
            for number, result in enumerate(results, start=1):
                progress("fixing", number, None)
                tally.add_result(result)
                if as_json:
                    _write({"uri": result.finding.uri, "fix": result.what})
    except UNAVAILABLE as error:
        return print_error(error)
    return _print_summary(tally, reconciliation, as_json=as_json)


def _print_summary(tally: FindingTally, reconciliation: Reconciliation, *, as_json: bool) -> int:
    if as_json:
        _write(tally.summary())
    else:
        tally.print(Console(), reconciliation.now)
    return 1 if tally.needs_attention else 0


def _counted(
    findings: Iterator[UploadFinding], tally: FindingTally, *, as_json: bool
) -> Iterator[UploadFinding]:
    for finding in findings:
        tally.add(finding)
        if as_json and finding.is_remarkable:
            _write(finding.as_json())
        yield finding


def _write(values: object) -> None:
    sys.stdout.write(json_line(values) + "\n")

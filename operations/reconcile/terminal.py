"""`echodrop reconcile` at a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from events.sending import QueueTarget
from operations.clients.connections import connect
from operations.clients.stack_settings import QUEUE
from operations.console.command_errors import UNAVAILABLE, print_error
from operations.console.options import (
    Json,
    PrefectRate,
    Prefix,
    Queue,
    Rules,
    Shown,
    Stack,
    complete_settings,
)
from operations.console.printing import print_json, progress_bar
from operations.console.report import FindingTally
from operations.findings.classification import ATTEMPTS, GRACE_MINUTES, ClassificationLimits
from operations.inventory.upload_inspection import Scope
from operations.reconcile.reconciliation import Reconciliation
from operations.sending.back_pressure import Pace
from operations.sending.fixing import FIX_LIMIT, RATE, Fixer, fix_in_order


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
    ] = GRACE_MINUTES,
    attempts: Annotated[
        int, typer.Option(help="How often an upload is attempted.", min=0)
    ] = ATTEMPTS,
    rate: Annotated[float, typer.Option(help="Uploads a second to fix.", min=0.001)] = RATE,
    limit: Annotated[
        int, typer.Option(help="Maximum uploads to fix; the newest of each class.", min=0)
    ] = FIX_LIMIT,
    shown: Shown = 10,
    as_json: Json = False,
) -> int:
    """Compare inbox, outputs and flow runs; show what is lost, torn or damaged, and how to fix it.

    The exit codes are those of status.
    """
    tally = FindingTally(shown)
    write: Callable[[object], object] = print_json if as_json else lambda _: None
    needed = {QUEUE: queue} if fix and not dry_run else {}
    try:
        complete_settings(
            stack, prefect_rate, PREFECT_API_URL=None, ECHODROP_RULES_PARAMETER=rules, **needed
        )
        services = connect(rules)
        limits = ClassificationLimits.of(services.rules, grace, attempts)
        with progress_bar() as progress:
            reconciliation = Reconciliation(
                services, Scope(prefix, verify=verify), limits, progress=progress
            )
            findings = tally.record(reconciliation.findings(), write)
            url = queue or os.environ.get(QUEUE, "")
            fixer = Fixer(
                *(QueueTarget(services.sqs, url), services.runs, attempts, dry_run),
                Pace(None if dry_run else rate),
                limit if fix else 0,
            )
            for number, (finding, result) in enumerate(fix_in_order(findings, fixer), start=1):
                progress("fixing", number, None)
                tally.add_result(result)
                write({"uri": finding.uri, "fix": str(result)})
    except UNAVAILABLE as error:
        return print_error(error)
    if as_json:
        print_json(tally.summary())
    else:
        tally.print(Console(), reconciliation.now)
    return 1 if tally.needing_attention else 0

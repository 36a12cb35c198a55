"""`echodrop status` at a terminal: the health of the system, then its uploads, or one of them."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from flows.failures.failure_report import FAILURES
from operations.clients.connections import OperationsServices, connect
from operations.clients.prefect_runs import FAILED_OR_CRASHED, UNFINISHED
from operations.clients.stack_settings import DEAD_LETTERS as DEAD_LETTERS_URL
from operations.clients.stack_settings import QUEUE as QUEUE_URL
from operations.console.command_errors import EXIT_CODE, INTERRUPTED, UNAVAILABLE, print_error
from operations.console.options import (
    Json,
    PrefectRate,
    Prefix,
    Rules,
    Shown,
    Stack,
    complete_settings,
    duration,
)
from operations.console.printing import print_json, progress_bar
from operations.console.report import FindingTally
from operations.findings.classification import ClassificationLimits, unfinished_finding
from operations.findings.findings import RunFacts, UploadFinding
from operations.inventory.upload_inspection import Scope, UploadInspector
from operations.reconcile.reconciliation import Reconciliation
from operations.sending.back_pressure import messages_in
from operations.status.health import (
    DEAD_LETTERS,
    PREFECT,
    QUEUE,
    HealthLine,
    health_as_json,
    health_lines,
    print_health,
)
from operations.status.upload import follow

_SECONDS_BETWEEN = 5.0


def recent_findings(whole: Reconciliation, window: timedelta) -> Iterator[UploadFinding]:
    """Yield a finding for each upload of the last `window`, then for each older one with a run to look at.

    They get the same classes as in a reconciliation. Older uploads, and those of an archive, are
    included if Prefect has an unfinished run of them, a run that ended with a fault of the file,
    or one that failed or crashed in the window.
    """
    since, runs = whole.now - window, whole.services.runs
    seen, runs_seen = set[str](), set[str]()

    def older(found: Iterable[RunFacts]) -> Iterator[RunFacts]:
        for run in found:
            if whole.scope.takes(whole.services.rules, run.raw_file) and run.raw_file not in seen:
                seen.add(run.raw_file)
                yield run

    for finding in replace(whole, scope=replace(whole.scope, since=since)).findings():
        seen.add(finding.uri)
        runs_seen.add(finding.run_id)
        yield finding
    unfinished = list(older(runs.in_states(UNFINISHED)))
    tasks = whole.services.tasks.of(unfinished)
    for run in unfinished:
        facts = replace(run, has_task=tasks.get(run.id))
        runs_seen.add(run.id)
        yield unfinished_finding(run.raw_file, facts, whole.limits, whole.now)
    # A failed run is not enough: a later generation may have converted the upload since.
    of_the_file = sorted(name for name, failure in FAILURES.items() if failure.of_the_file)
    failed = chain(
        older(runs.in_states(FAILED_OR_CRASHED, since)),
        older(runs.in_states(FAILED_OR_CRASHED, names=of_the_file)),
    )
    yield from whole.inspector.at_uris(run.raw_file for run in failed)
    yield from whole.dead_runs(runs_seen)


# The exit code of one look, and whether no later look shows more.
Look = Callable[[Console], tuple[int, bool]]


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
) -> int:
    """Show whether the system is healthy, then what became of recent uploads, or of one.

    Exit code 0: nothing needs attention; 1: something does; 2: a service did not answer.
    """
    try:
        complete_settings(stack, prefect_rate, PREFECT_API_URL=None, ECHODROP_RULES_PARAMETER=rules)
        window = duration(since)
        services = connect(rules)

        def look(console: Console) -> tuple[int, bool]:
            if upload is not None:
                return _one(services, upload, console, as_json=as_json)
            scope = Scope(prefix)
            return _recent(services, window, scope, shown, console, as_json=as_json), False

        return _watched(look) if watch else look(Console())[0]
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)


def _watched(look: Look) -> int:
    """Show one look after another in place; in a pipe, print each after the one before."""
    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            drawn = Console(
                file=io.StringIO(), width=console.width, force_terminal=console.is_terminal
            )
            code, is_final = look(drawn)
            text = drawn.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
            if console.is_terminal:
                live.update(Text.from_ansi(text), refresh=True)
            else:
                console.file.write(text)
                console.file.flush()
            if is_final:
                return code
            time.sleep(_SECONDS_BETWEEN)


def _one(
    services: OperationsServices, uri: str, console: Console, *, as_json: bool
) -> tuple[int, bool]:
    now = datetime.now(UTC)
    inspector = UploadInspector(services, ClassificationLimits.of(services.rules), now)
    found = follow(uri, inspector)
    if as_json:
        print_json(found.as_json(), console.file)
    else:
        found.print(console, now)
    return int(found.found.needs_attention), not found.is_under_way


def _recent(
    services: OperationsServices,
    window: timedelta,
    scope: Scope,
    shown: int,
    console: Console,
    *,
    as_json: bool,
) -> int:
    health = list(_health(services))
    if not as_json:
        print_health(console, health)
    if any(line.part == PREFECT and line.is_fault for line in health):
        if as_json:
            print_json(health_as_json(health), console.file)
        return EXIT_CODE
    tally, limits = FindingTally(shown), ClassificationLimits.of(services.rules)
    with progress_bar() as progress:
        reconciliation = Reconciliation(services, scope, limits, progress=progress)
        for finding in recent_findings(reconciliation, window):
            tally.add(finding)
            if as_json and finding.is_remarkable:
                print_json(finding.as_json(), console.file)
    if as_json:
        print_json(tally.summary() | health_as_json(health), console.file)
    else:
        tally.print(console, reconciliation.now)
    return int(bool(tally.needing_attention) or any(line.is_fault for line in health))


def _health(services: OperationsServices) -> Iterator[HealthLine]:
    sqs = services.sqs
    return health_lines(
        services.rules,
        services.runs.ask_now,
        lambda url: messages_in(sqs, url),
        {QUEUE: os.environ.get(QUEUE_URL), DEAD_LETTERS: os.environ.get(DEAD_LETTERS_URL)},
        datetime.now(UTC),
    )

"""`echodrop status` at a terminal: the health of the system, then its uploads, or one of them."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from operations.clients.connections import Connections, connect
from operations.clients.stack_settings import DEAD_LETTERS as DEAD_LETTERS_URL
from operations.clients.stack_settings import QUEUE as QUEUE_URL
from operations.console.command_errors import EXIT_CODE, INTERRUPTED, UNAVAILABLE, print_error
from operations.console.durations import duration
from operations.console.options import (
    Json,
    PrefectRate,
    Prefix,
    Rules,
    Shown,
    Stack,
    complete_settings,
)
from operations.console.progress import progress_bar
from operations.console.report import FindingTally, json_line
from operations.findings.classification import ClassificationLimits
from operations.inventory.scope import Scope
from operations.inventory.upload_inspection import UploadInspector
from operations.reconcile.reconciliation import Reconciliation
from operations.replay.dead_letter_queue import DeadLetterQueue
from operations.status.health import (
    DEAD_LETTERS,
    PREFECT,
    QUEUE,
    HealthLine,
    health_as_json,
    health_lines,
    print_health,
)
from operations.status.recent import Status
from operations.status.upload import follow

_SECONDS_BETWEEN = 5.0


@dataclass(frozen=True)
class StatusLook:
    """What one look prints, its exit code, and whether a later look may show more."""

    code: int
    is_final: bool = False


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
        connections = connect(rules)

        def look(console: Console) -> StatusLook:
            if upload is not None:
                return _one(connections, upload, console, as_json=as_json)
            return _recent(connections, window, prefix, shown, console, as_json=as_json)

        return _watched(look) if watch else look(Console()).code
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)


def _watched(look: Callable[[Console], StatusLook]) -> int:
    """Show one look after another in place; in a pipe, print each after the one before."""
    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            drawn = Console(
                file=io.StringIO(), width=console.width, force_terminal=console.is_terminal
            )
            seen = look(drawn)
            text = drawn.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
            if console.is_terminal:
                live.update(Text.from_ansi(text), refresh=True)
            else:
                console.file.write(text)
                console.file.flush()
            if seen.is_final:
                return seen.code
            time.sleep(_SECONDS_BETWEEN)


def _one(connections: Connections, uri: str, console: Console, *, as_json: bool) -> StatusLook:
    now = datetime.now(UTC)
    inspector = UploadInspector(
        connections.services, ClassificationLimits.of(connections.services.rules), now
    )
    found = follow(uri, inspector, connections.runs)
    if as_json:
        console.file.write(json_line(found.as_json()) + "\n")
    else:
        found.print(console, now)
    return StatusLook(1 if found.found.needs_attention else 0, is_final=not found.is_under_way)


def _recent(
    connections: Connections,
    window: timedelta,
    prefix: str,
    shown: int,
    console: Console,
    *,
    as_json: bool,
) -> StatusLook:
    health = list(_health(connections))
    if not as_json:
        print_health(console, health)
    if any(line.part == PREFECT and line.is_fault for line in health):
        if as_json:
            console.file.write(json_line(health_as_json(health)) + "\n")
        return StatusLook(EXIT_CODE)
    tally = FindingTally(shown)
    with progress_bar() as progress:
        reconciliation = Reconciliation(
            connections.services,
            Scope(prefix),
            ClassificationLimits.of(connections.services.rules),
            progress=progress,
        )
        for finding in Status(reconciliation, window).findings():
            tally.add(finding)
            if as_json and finding.is_remarkable:
                console.file.write(json_line(finding.as_json()) + "\n")
    if as_json:
        console.file.write(json_line(tally.summary() | health_as_json(health)) + "\n")
    else:
        tally.print(console, reconciliation.now)
    faults = any(line.is_fault for line in health)
    return StatusLook(1 if tally.needs_attention or faults else 0)


def _health(connections: Connections) -> Iterator[HealthLine]:
    sqs = connections.session.client("sqs", region_name=connections.region)
    return health_lines(
        connections.services.rules,
        connections.runs.health,
        lambda url: DeadLetterQueue(sqs, url).count(),
        {QUEUE: os.environ.get(QUEUE_URL), DEAD_LETTERS: os.environ.get(DEAD_LETTERS_URL)},
        datetime.now(UTC),
    )

"""`echodrop replay` of uploads at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rich.console import Console

from events.sending import QueueTarget
from operations.clients.connections import Connections, connect
from operations.console.command_errors import INTERRUPTED, UNAVAILABLE, print_error
from operations.console.durations import moment
from operations.console.printing import write, write_grouped
from operations.console.progress import progress_bar
from operations.console.report import json_line
from operations.findings.classification import ClassificationLimits
from operations.findings.findings import UploadFinding
from operations.inventory.upload_inspection import UploadInspector
from operations.replay.choice import RunChoice, decide_replay
from operations.sending.estimates import Estimate
from operations.sending.fixing import Fixer, FixResult
from operations.sending.pacing import Pace

# An operator requested it, so the number of earlier starts is no limit.
_ATTEMPTS = 10_000


@dataclass
class _ReplayReport:
    """What was done, what was skipped, and what failed."""

    as_json: bool
    shown: int
    estimate: Estimate
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0

    def add(self, uri: str, what: str, detail: str = "", *, failed: bool = False) -> None:
        self.counts[what] += 1
        self.failures += failed
        if self.as_json:
            line = {"uri": uri, "what": what, "detail": detail}
            print(json_line(line))  # noqa: T201 - the command's result
        elif len(self.rows) < self.shown:
            self.rows.append((f"{what}: {detail}" if detail else what, uri))

    def end(self, rate: float | None, closing: str = "") -> None:
        if self.as_json:
            summary = {"counts": dict(self.counts), "estimate": self.estimate.as_json(rate)}
            print(json_line(summary))  # noqa: T201 - the command's result
            return
        console = Console()
        write_grouped(console, self.rows)
        if self.rows:
            console.print()
        for what, count in self.counts.items():
            write(console, f"{what}: {count:,}")
        write(console, closing or self.estimate.sentence(rate))


def replay_uploads_at_terminal(
    *,
    uris: Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    prefix: str = "",
    outcomes: tuple[str, ...] = (),
    version: str = "",
    force: bool = False,
    allow_partial: bool = False,
    queue_url: str,
    rules: Path | None = None,
    dry_run: bool = False,
    rate: float | None = None,
    limit: int | None = None,
    shown: int = 20,
    as_json: bool = False,
) -> int:
    """Replay uploads: those named, or those whose runs match.

    After an interruption, the next call resumes: it skips uploads that are in progress.

    The arguments are the options of the command, see `operations.replay_command`; without
    `uris` the uploads are chosen by their runs.

    Returns:
        An exit code: 0 all uploads are sent, done or in progress; 1 some can't be replayed;
        2 a service did not answer; 130 interrupted.
    """
    now = datetime.now(UTC)
    report: _ReplayReport | None = None
    try:
        choice = RunChoice(
            moment(since, now) if since else None,
            moment(until, now) if until else now if force else None,
            prefix,
            outcomes,
            version,
        )
        if force and not uris and not until:
            # The next call would choose the uploads that this one converts, too.
            Console(stderr=True).print(
                f"to resume after an interruption, add --until {now.isoformat()}",
                highlight=False,
                soft_wrap=True,
            )
        connections = connect(rules)
        report = _ReplayReport(as_json, shown, Estimate())
        named = list(uris)
        by_runs = None if named else choice
        if by_runs:
            named = by_runs.uploads(connections.runs, connections.services.rules)
        for result in _replayed(
            named,
            report,
            connections,
            now,
            queue_url,
            choice=by_runs,
            force=force,
            allow_partial=allow_partial,
            dry_run=dry_run,
            rate=rate,
            limit=limit,
        ):
            report.add(result.finding.uri, result.what, failed=not (result.done or dry_run))
    except KeyboardInterrupt:
        if report:
            report.end(rate, "interrupted; the next call resumes")
        return INTERRUPTED
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)
    report.end(rate)
    return 1 if report.failures else 0


def _replayed(
    uris: list[str],
    report: _ReplayReport,
    connections: Connections,
    now: datetime,
    queue_url: str,
    *,
    choice: RunChoice | None,
    force: bool,
    allow_partial: bool,
    dry_run: bool,
    rate: float | None,
    limit: int | None,
) -> Iterator[FixResult]:
    look = UploadInspector(connections.services, ClassificationLimits(attempts=_ATTEMPTS), now)
    region = connections.services.s3.meta.region_name
    queue = QueueTarget(connections.session.client("sqs", region_name=region), queue_url)
    pace = Pace(None if dry_run else rate)

    def decided() -> Iterator[UploadFinding]:
        with progress_bar() as progress:
            for number, found in enumerate(look.at_uris(uris), start=1):
                progress("uploads", number, len(uris))
                wanted = decide_replay(
                    found, force=force, allow_partial=allow_partial, choice=choice
                )
                if wanted.action is None:
                    report.add(found.uri, wanted.why, failed=not wanted.settled)
                    continue
                yield replace(found, action=wanted.action)

    def paced() -> Iterator[UploadFinding]:
        for found in islice(decided(), limit):
            pace.take()
            if found.source is not None:
                report.estimate.add(found.source.key, found.source.size)
            yield found

    # No limit of attempts: an operator requested the replay.
    yield from Fixer(queue, connections.runs, None, dry_run=dry_run).fix(paced())

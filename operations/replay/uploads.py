"""`echodrop replay` of uploads: those named, or those whose runs match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from rich.console import Console

from events.sending import QueueTarget
from operations.clients.connections import connect
from operations.console.command_errors import INTERRUPTED, UNAVAILABLE, print_error
from operations.console.printing import print_json, progress_bar, write, write_grouped
from operations.findings.classification import ClassificationLimits
from operations.findings.findings import UploadFinding
from operations.inventory.upload_inspection import UploadInspector
from operations.replay.choice import RunChoice, decide_replay
from operations.sending.back_pressure import Pace
from operations.sending.estimates import Estimate
from operations.sending.fixing import Fixer

# An operator requested it, so the number of earlier starts is no limit.
_ATTEMPTS = 10_000
_SHOWN = 20


@dataclass
class _ReplayReport:
    """What was done, what was skipped, and what failed."""

    as_json: bool
    estimate: Estimate
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0

    def add(self, uri: str, what: str, *, failed: bool = False) -> None:
        self.counts[what] += 1
        self.failures += failed
        if self.as_json:
            line = {"uri": uri, "what": what}
            print_json(line)
        elif len(self.rows) < _SHOWN:
            self.rows.append((what, uri))

    def end(self, rate: float | None, closing: str = "") -> None:
        if self.as_json:
            summary = {"counts": dict(self.counts), "estimate": self.estimate.as_json(rate)}
            print_json(summary)
            return
        console = Console()
        write_grouped(console, self.rows)
        if self.rows:
            console.print()
        for what, count in self.counts.items():
            write(console, f"{what}: {count:,}")
        write(console, closing or self.estimate.sentence(rate))


@dataclass(frozen=True)
class ReplayOptions:
    """The options of the command that uploads and dead letters share, see `terminal`."""

    queue_url: str
    rules: Path | None = None
    dry_run: bool = False
    rate: float | None = None
    limit: int | None = None
    as_json: bool = False


def replay_uploads(
    chosen: Sequence[str] | RunChoice,
    options: ReplayOptions,
    now: datetime,
    *,
    force: bool,
    allow_partial: bool,
) -> int:
    """Replay the uploads of these URIs, or of the runs of a choice.

    After an interruption, the next call resumes: it skips uploads that are in progress.

    Returns:
        An exit code: 0 all uploads are sent, done or in progress; 1 some can't be replayed;
        2 a service did not answer; 130 interrupted.
    """
    report = _ReplayReport(options.as_json, Estimate())
    rate = None if options.dry_run else options.rate
    choice = chosen if isinstance(chosen, RunChoice) else None
    try:
        services = connect(options.rules)
        uris = (
            chosen.uploads(services.runs, services.rules)
            if isinstance(chosen, RunChoice)
            else chosen
        )
        look = UploadInspector(services, ClassificationLimits(attempts=_ATTEMPTS), now)
        queue = QueueTarget(services.sqs, options.queue_url)
        pace = Pace(rate)

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
            for found in islice(decided(), options.limit):
                pace.take()
                if found.source is not None:
                    report.estimate.add(found.source.key, found.source.size)
                yield found

        # No limit of attempts: an operator requested the replay.
        fixer = Fixer(queue, services.runs, None, dry_run=options.dry_run)
        for result in fixer.fix(paced()):
            failed = not (result.done or options.dry_run)
            report.add(result.finding.uri, result.what, failed=failed)
    except KeyboardInterrupt:
        report.end(options.rate, "interrupted; the next call resumes")
        return INTERRUPTED
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)
    report.end(options.rate)
    return 1 if report.failures else 0

"""Replaying uploads, as a person at a terminal sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from events.sending import QueueTarget
from operations.classification import Limits
from operations.closer_look import CloserLook
from operations.connections import Connections, connect
from operations.durations import moment
from operations.estimates import Estimate
from operations.findings import Finding
from operations.mending import Mended, Mender
from operations.pacing import Pace
from operations.progress import progress_bar
from operations.refusals import INTERRUPTED, NOT_ASKED, refused
from operations.replay_choice import RunChoice, decide_replay
from operations.report import json_line

# A person asks: how often a run was started bounds nothing.
_ATTEMPTS = 10_000


@dataclass
class _Told:
    """What was done, what was left, and what stands in the way of the rest."""

    as_json: bool
    shown: int
    estimate: Estimate
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[str, str]] = field(default_factory=list)
    troubles: int = 0

    def add(self, uri: str, what: str, detail: str = "", *, trouble: bool = False) -> None:
        self.counts[what] += 1
        self.troubles += trouble
        if self.as_json:
            line = {"uri": uri, "what": what, "detail": detail}
            print(json_line(line))  # noqa: T201 - the command's result
        elif len(self.rows) < self.shown:
            self.rows.append((uri, f"{what}: {detail}" if detail else what))

    def end(self, rate: float | None, closing: str = "") -> None:
        if self.as_json:
            summary = {"counts": dict(self.counts), "estimate": self.estimate.as_json(rate)}
            print(json_line(summary))  # noqa: T201 - the command's result
            return
        console, table = Console(), Table("upload", "what", box=None)
        for uri, what in self.rows:
            table.add_row(escape(uri), escape(what[:300]))
        if self.rows:
            console.print(table)
        for what, count in self.counts.items():
            console.print(f"{what}: {count:,}", highlight=False)
        console.print(closing or self.estimate.told(rate), highlight=False)


def replay_uploads_at_terminal(
    *,
    uris: Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    prefix: str = "",
    outcomes: tuple[str, ...] = (),
    version: str = "",
    force: bool = False,
    queue_url: str,
    rules: Path | None = None,
    dry_run: bool = False,
    rate: float | None = None,
    limit: int | None = None,
    shown: int = 20,
    as_json: bool = False,
) -> int:
    """Bring uploads to their outputs again: those named, or those whose runs ended so.

    Stopped at any point, the next call goes on: what is under way by then is left.

    Args:
        uris: `s3://bucket/key` each; none for a choice by runs.
        since: runs that ended since: `24h`, or a time of ISO 8601.
        until: and until then.
        prefix: of the inbox's keys.
        outcomes: names of the runs' states; none for all that failed or crashed.
        version: of echodrop that the runs were asked of.
        force: convert anew what was converted, as a new generation.
        queue_url: of the trigger's queue.
        rules: the rules document; left out, the trigger's own.
        dry_run: only say what would be done, and what it would cost.
        rate: uploads a second at most.
        limit: uploads at most.
        shown: how many uploads to list.
        as_json: a line of JSON for each upload, and one with the counts.

    Returns:
        An exit code: 0 all is sent, done or under way; 1 something can't be
        brought further so; 2 the system could not be asked; 130 interrupted.
    """
    now = datetime.now(UTC)
    told: _Told | None = None
    try:
        choice = RunChoice(
            moment(since, now) if since else None,
            moment(until, now) if until else now if force else None,
            prefix,
            outcomes,
            version,
        )
        if force and not uris and not until:
            # What this call converts anew would be chosen by the next one like the rest.
            Console(stderr=True).print(
                f"stopped, it goes on with --until {now.isoformat()} added",
                highlight=False,
                soft_wrap=True,
            )
        connections = connect(rules)
        told = _Told(as_json, shown, Estimate())
        named = list(uris)
        by_runs = None if named else choice
        if by_runs:
            named = by_runs.uploads(connections.runs, connections.services.rules)
        for mended in _replayed(
            named,
            told,
            connections,
            now,
            queue_url,
            choice=by_runs,
            force=force,
            dry_run=dry_run,
            rate=rate,
            limit=limit,
        ):
            told.add(mended.finding.uri, mended.what, trouble=not (mended.done or dry_run))
    except KeyboardInterrupt:
        if told:
            told.end(rate, "interrupted; the next call goes on")
        return INTERRUPTED
    except (ValueError, *NOT_ASKED) as error:
        return refused(error)
    told.end(rate)
    return 1 if told.troubles else 0


def _replayed(
    uris: list[str],
    told: _Told,
    connections: Connections,
    now: datetime,
    queue_url: str,
    *,
    choice: RunChoice | None,
    force: bool,
    dry_run: bool,
    rate: float | None,
    limit: int | None,
) -> Iterator[Mended]:
    look = CloserLook(connections.services, Limits(attempts=_ATTEMPTS), now)
    region = connections.services.s3.meta.region_name
    queue = QueueTarget(connections.session.client("sqs", region_name=region), queue_url)
    pace = Pace(None if dry_run else rate)

    def decided() -> Iterator[Finding]:
        with progress_bar() as progress:
            for number, found in enumerate(look.at_uris(uris), start=1):
                progress("uploads", number, len(uris))
                wanted = decide_replay(found, force=force, choice=choice)
                if wanted.action is None:
                    told.add(found.uri, wanted.why, trouble=not wanted.settled)
                    continue
                yield replace(found, action=wanted.action)

    def paced() -> Iterator[Finding]:
        for found in islice(decided(), limit):
            pace.take()
            if found.source is not None:
                told.estimate.add(found.source.key, found.source.size)
            yield found

    # A person asks, so that a run is started again however often it was.
    yield from Mender(queue, connections.runs, None, dry_run=dry_run).mend(paced())

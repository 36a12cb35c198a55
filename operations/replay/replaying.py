"""`echodrop replay` of uploads or dead letters: what it sends again, and what it reports."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console

from events.replay import LocalHandler
from events.sending import QueueTarget
from flows.core.locations import S3Location
from flows.stores.s3_client import store_of
from lambda_trigger.clients.transport_errors import ConfigurationError
from lambda_trigger.settings import read_settings
from operations.clients.connections import connect, load_rules, region_of
from operations.console.printing import print_json, progress_bar, write, write_grouped
from operations.findings.classification import ClassificationLimits
from operations.findings.findings import UploadFinding
from operations.inventory.upload_inspection import UploadInspector
from operations.replay.choice import RunChoice, decide_replay
from operations.replay.dead_letters import DeadLetterReplay, Diagnose
from operations.sending.back_pressure import Pace
from operations.sending.estimates import Estimate
from operations.sending.fixing import Fixer
from sonar_models import models_by_extension

# An operator requested it, so the number of earlier starts is no limit.
_ATTEMPTS = 10_000
_SHOWN = 20


@dataclass
class Replay:
    """One call of the command, with its options (`terminal`) and what became of it so far.

    `rows` are reason and name of what is listed at the end.
    """

    queue_url: str
    rules: Path | None
    dry_run: bool
    rate: float | None
    limit: int | None
    as_json: bool
    estimate: Estimate = field(default_factory=Estimate)
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0

    def uploads(
        self,
        chosen: Sequence[str] | RunChoice,
        now: datetime,
        *,
        force: bool,
        allow_partial: bool,
    ) -> int:
        """Replay the uploads of these URIs, or of the runs of a choice.

        After an interruption, the next call resumes: it skips uploads that are in progress.

        Returns:
            An exit code: 0 all uploads are sent, done or in progress; 1 some can't be replayed.
        """
        choice = chosen if isinstance(chosen, RunChoice) else None
        services = connect(self.rules)
        uris = (
            chosen.uploads(services.runs, services.rules)
            if isinstance(chosen, RunChoice)
            else chosen
        )
        look = UploadInspector(services, ClassificationLimits(attempts=_ATTEMPTS), now)
        pace = Pace(None if self.dry_run else self.rate)

        def decided() -> Iterator[UploadFinding]:
            with progress_bar() as progress:
                for number, found in enumerate(look.at_uris(uris), start=1):
                    progress("uploads", number, len(uris))
                    wanted = decide_replay(
                        found, force=force, allow_partial=allow_partial, choice=choice
                    )
                    if wanted.action is None:
                        self._add(found.uri, wanted.why, failed=not wanted.settled)
                        continue
                    yield replace(found, action=wanted.action)

        def paced() -> Iterator[UploadFinding]:
            for found in islice(decided(), self.limit):
                pace.take()
                if found.source is not None:
                    self.estimate.add(found.source.key, found.source.size)
                yield found

        # No limit of attempts: an operator requested the replay.
        queue = QueueTarget(services.sqs, self.queue_url)
        fixer = Fixer(queue, services.runs, None, dry_run=self.dry_run)
        for found, result in fixer.fix(paced()):
            self._add(found.uri, str(result), failed=not (result.done or self.dry_run))
        self.end(self.estimate.sentence(self.rate))
        return 1 if self.failures else 0

    def dead_letters(self, dlq_url: str) -> int:
        """Send dead letters through the trigger's queue again; quarantine those that failed again.

        Returns:
            An exit code: 0 all messages were sent, or there were none; 1 some were set aside
            or kept, or are still in the queue.
        """
        sqs = boto3.client("sqs", region_name=region_of(boto3.Session()))
        poison = store_of(S3Location(load_rules(self.rules).output_bucket, ""), {})
        replay = DeadLetterReplay(
            *(sqs, dlq_url, self.queue_url, poison),
            diagnose=_diagnosis(os.environ),
            pace=Pace(self.rate),
            limit=self.limit,
        )
        total, size = replay.count(), 0
        with progress_bar() as progress:
            for each in replay.run(dry_run=self.dry_run):
                letter = each.letter
                self.counts[each.what] += 1
                progress("dead letters", self.counts.total(), total)
                size += len(letter.body.encode())
                for upload in letter.notified_uploads:
                    # The trigger requests no run for other files.
                    if each.what in {"sent", "would send"} and models_by_extension(upload.key):
                        self.estimate.add(upload.key, upload.size)
                if self.as_json:
                    facts = {"message_id": letter.id, "uploads": letter.uploads}
                    print_json({**facts, "what": each.what, "detail": each.detail})
                elif each.detail:
                    named = f"{letter.id} {', '.join(letter.uploads)}"
                    self.rows.append((f"{each.what}: {each.detail}", named))
        left = replay.count()
        queue = f"{size:,} bytes of messages; about {left} left in the queue"
        cost = self.estimate.sentence(self.rate if self.dry_run else None)
        self.end(f"{queue}\n{cost}", bytes=size, left=left)
        return 1 if left or self.counts["set aside"] or self.counts["kept"] else 0

    def end(self, closing: str, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        """Print what was done: names by their reason, the counts, and closing lines; or all as JSON."""
        if self.as_json:
            estimate = self.estimate.as_json(self.rate)
            print_json({"counts": dict(self.counts), **facts, "estimate": estimate})
            return
        console = Console()
        write_grouped(console, self.rows)
        if self.rows:
            console.print()
        for line in (*(f"{what}: {n:,}" for what, n in self.counts.items()), *closing.split("\n")):
            write(console, line)

    def _add(self, uri: str, what: str, *, failed: bool) -> None:
        self.counts[what] += 1
        self.failures += failed
        if self.as_json:
            print_json({"uri": uri, "what": what})
        elif len(self.rows) < _SHOWN:
            self.rows.append((what, uri))


def _diagnosis(variables: Mapping[str, str]) -> Diagnose | None:
    """The trigger in this process, if its settings are in the environment."""
    try:
        read_settings(variables)
    except ConfigurationError:
        return None
    return LocalHandler().send

"""Sends the objects of an archive to the trigger, in the backfill lane, at a limited rate.

A message holds several objects, so that the trigger can convert small files
together. The checkpoint is written after each message: a backfill that is
killed sends at most one message twice, and its uploads already have their runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events.notifications import NotifiedObject, eventbridge_event
from lambda_trigger.decisions.inbox_rules import Candidate, SettingsXml, Verdict, judge_key
from lambda_trigger.decisions.outcomes import BACKFILL, Ignored, Reason, Rejected
from lambda_trigger.decisions.rules_document import Rules
from operations.backfill.checkpoint import Checkpoint
from operations.clients.connections import OperationsServices
from operations.clients.parallel import in_parallel
from operations.clients.trigger_decision import is_of_azfp
from operations.findings.findings import IN_PROGRESS, Kind, Source
from operations.findings.output_state import ManifestUnreadableError, OutputFacts, judge_output
from operations.inventory.archive_items import Archive, ArchiveItem
from operations.inventory.listings import read_manifest_of, source_now
from operations.inventory.upload_inspection import UploadInspector
from operations.sending.back_pressure import BackPressure, Pace
from operations.sending.estimates import Estimate

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Uploads in a message. A Lambda receives ten messages, and has a minute for them.
TOGETHER = 20
# Older SQS queues accept 256 KiB a message.
_BYTES_A_MESSAGE = 240_000


# An object, the verdict on its key, and the generation to request or why none is.
_Judged = tuple[ArchiveItem, Candidate | SettingsXml | Verdict, int | str]


# Why an object is not sent.
PUBLISHED, RUNNING = "published at this version", "in progress"


@dataclass(frozen=True)
class WantedConversions:
    """Finds the generation to request for an object, or why it needs none.

    With `force` published objects are converted again, as a new generation.
    """

    services: OperationsServices
    inspector: UploadInspector
    force: bool = False

    def generation_of(self, item: ArchiveItem, candidate: Candidate) -> int | str:
        """The generation to request; a text is the reason why nothing is requested."""
        if not self.force:
            return PUBLISHED if self._is_published(item, candidate) else 0
        source = source_now(self.services.s3, item.bucket, item.key)
        if source is None:
            return 0
        (found,) = self.inspector.at([(source, candidate.output_key)])
        return RUNNING if found.kind in IN_PROGRESS else found.next_generation

    def _is_published(self, item: ArchiveItem, candidate: Candidate) -> bool:
        s3, bucket = self.services.s3, self.services.rules.output_bucket
        try:
            manifest = read_manifest_of(s3, bucket, candidate.output_key)
        except ManifestUnreadableError:
            return False
        if manifest is None:
            return False
        source: Source | None
        if item.etag is None or is_of_azfp(candidate):
            source = source_now(s3, item.bucket, item.key)
        else:
            source = Source(item.bucket, item.key, item.size or 0, item.etag, self.inspector.now)
        if source is None:
            return False
        # Other models are converted without settings.
        settings = self.services.decisions.of(source).settings if is_of_azfp(candidate) else None
        facts = OutputFacts(None, manifest=manifest)
        return judge_output(source, facts, settings)[0] is Kind.DONE


@dataclass
class Backfill:
    """Sends one archive through the trigger's queue.

    Uploads that the rules ignore or reject are counted, not sent. `wanted` is the generation to
    request for an object, or why it needs no conversion; it is called in several threads.
    """

    rules: Rules
    archive: Archive
    checkpoint: Checkpoint
    sqs: SQSClient
    pressure: BackPressure
    pace: Pace = field(default_factory=lambda: Pace(None))
    limit: int | None = None
    together: int = TOGETHER
    wanted: Callable[[ArchiveItem, Candidate], int | str] = lambda _item, _candidate: 0
    on_wait: Callable[[str], None] = lambda _why: None

    def run(self) -> Iterator[int]:
        """Send message after message; yield the number of uploads in each once the checkpoint is saved.

        Raises:
            ArchiveError, OSError, ClientError: the archive can't be read, or the queue refuses.
        """
        records: list[dict[str, Any]] = []
        size = sent = 0
        if self.checkpoint.ended:
            return
        for item, verdict, wanted in self._judged():
            record = _record(item, wanted) if isinstance(wanted, int) else None
            weight = len(json.dumps(record)) + 2 if record else 0
            if len(records) == self.together or size + weight > _BYTES_A_MESSAGE:
                yield self._send(records)
                sent, records, size = sent + len(records), [], 0
            if self.limit is not None and sent + len(records) >= self.limit:
                break
            self._note(item, verdict, wanted)
            if record:
                records.append(record)
                size += weight
        else:
            self.checkpoint.ended = True
        if records or self.checkpoint.ended:
            yield self._send(records)

    def estimate(self) -> Estimate:
        """Estimate the rest of the archive without sending it."""
        found = Estimate()
        for item, verdict, wanted in self._judged():
            if self.limit is not None and found.uploads == self.limit:
                break
            self._note(item, verdict, wanted)
            if isinstance(wanted, int):
                found.add(item.key, item.size)
        return found

    def _judged(self) -> Iterator[_Judged]:
        def judged(item: ArchiveItem) -> _Judged:
            verdict = judge_key(item.bucket, item.key, self.rules)
            wanted = self.wanted(item, verdict) if isinstance(verdict, Candidate) else ""
            return item, verdict, wanted

        return in_parallel(judged, self.archive.items(self.checkpoint.place))

    def _note(
        self, item: ArchiveItem, verdict: Candidate | SettingsXml | Verdict, wanted: int | str
    ) -> None:
        noted = self.checkpoint
        noted.place = item.place
        match verdict:
            case Candidate() if isinstance(wanted, str):
                noted.skipped[wanted] += 1
            case Candidate():
                noted.bytes += item.size or 0
            case SettingsXml():
                # The trigger finds it beside its data file.
                noted.left_out[Reason.SIDECAR_USED] += 1
            case Ignored(reason=reason):
                noted.left_out[reason] += 1
            case Rejected(reason=reason):
                noted.refused[reason] += 1

    def _send(self, records: list[dict[str, Any]]) -> int:
        if records:
            self.pressure.wait(self.on_wait)
            self.pace.take(len(records))
            body = json.dumps({"Records": records})
            self.sqs.send_message(QueueUrl=self.pressure.queue_url, MessageBody=body)
            self.checkpoint.messages += 1
            self.checkpoint.sent += len(records)
        self.checkpoint.save()
        return len(records)


def _record(item: ArchiveItem, generation: int) -> dict[str, Any]:
    return eventbridge_event(
        NotifiedObject(
            *(item.bucket, item.key, item.size, item.etag), lane=BACKFILL, generation=generation
        )
    )

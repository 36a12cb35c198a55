"""Tells the trigger of an archive's objects, in the backfill lane, at a pace, and from where it stopped.

Several objects go into a message, so that the trigger can have small files
converted together. The checkpoint is written after each: a backfill that is
killed sends one message twice at most, whose uploads have their runs by then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events.notifications import StoredObject, s3_record
from lambda_trigger.inbox_rules import Candidate, SettingsXml, Verdict, judge_key
from lambda_trigger.outcomes import BACKFILL, Ignored, Reason, Rejected
from lambda_trigger.rules_document import Rules
from operations.archive_items import Archive, ArchiveItem
from operations.back_pressure import BackPressure
from operations.backfill_checkpoint import Checkpoint
from operations.estimates import Estimate
from operations.pacing import Pace

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# To a message. A Lambda is handed ten of them, and has a minute.
TOGETHER = 20
# SQS takes 256 KiB a message where it is old-fashioned.
_BYTES_A_MESSAGE = 240_000


@dataclass
class Backfill:
    """One archive on its way through the trigger's queue.

    Attributes:
        rules: of the inbox; what they leave out or refuse is counted and not sent.
        archive: names the objects.
        checkpoint: where to go on, and what was done before.
        sqs: the queue's client.
        pressure: what may be on its way at a time.
        pace: uploads a second.
        limit: uploads of this call at most.
        together: uploads to a message at most.
        told: is told what is waited for.
    """

    rules: Rules
    archive: Archive
    checkpoint: Checkpoint
    sqs: SQSClient
    pressure: BackPressure
    pace: Pace = field(default_factory=lambda: Pace(None))
    limit: int | None = None
    together: int = TOGETHER
    told: Callable[[str], None] = lambda _why: None

    def run(self) -> Iterator[int]:
        """Send message by message; give the number of uploads of each, once it is sent and noted.

        Raises:
            ArchiveError, OSError, ClientError: the archive can't be read, or the queue refuses.
            PrefectUnavailableError: nobody can tell how much is on its way.
        """
        records: list[dict[str, Any]] = []
        size = sent = 0
        if self.checkpoint.ended:
            return
        for item in self.archive.items(self.checkpoint.place):
            verdict = judge_key(item.bucket, item.key, self.rules)
            record = _record(item) if isinstance(verdict, Candidate) else None
            weight = len(json.dumps(record)) + 2 if record else 0
            if len(records) == self.together or size + weight > _BYTES_A_MESSAGE:
                yield self._send(records)
                sent, records, size = sent + len(records), [], 0
            if self.limit is not None and sent + len(records) >= self.limit:
                break
            self._note(item, verdict)
            if record:
                records.append(record)
                size += weight
        else:
            self.checkpoint.ended = True
        if records or self.checkpoint.ended:
            yield self._send(records)

    def estimate(self) -> Estimate:
        """Go over what is left, and send nothing."""
        found = Estimate()
        for item in self.archive.items(self.checkpoint.place):
            if self.limit is not None and found.uploads == self.limit:
                break
            verdict = judge_key(item.bucket, item.key, self.rules)
            self._note(item, verdict)
            if isinstance(verdict, Candidate):
                found.add(item.key, item.size)
        return found

    def _note(self, item: ArchiveItem, verdict: Candidate | SettingsXml | Verdict) -> None:
        noted = self.checkpoint
        noted.place = item.place
        match verdict:
            case Candidate():
                noted.bytes += item.size or 0
            case SettingsXml():
                # The trigger finds it beside its data.
                noted.left_out[Reason.SIDECAR_USED] += 1
            case Ignored(reason=reason):
                noted.left_out[reason] += 1
            case Rejected(reason=reason):
                noted.refused[reason] += 1

    def _send(self, records: list[dict[str, Any]]) -> int:
        if records:
            self.pressure.wait(self.told)
            self.pace.take(len(records))
            body = json.dumps({"Records": records})
            self.sqs.send_message(QueueUrl=self.pressure.queue_url, MessageBody=body)
            self.checkpoint.messages += 1
            self.checkpoint.sent += len(records)
        self.checkpoint.save()
        return len(records)


def _record(item: ArchiveItem) -> dict[str, Any]:
    return s3_record(StoredObject(item.bucket, item.key, item.size, item.etag, lane=BACKFILL))

"""A settings XML has arrived: the AZFP data that it sets free are asked for."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from lambda_trigger.aws_api import Listed
from lambda_trigger.batches import Batchable
from lambda_trigger.clock import Deadline
from lambda_trigger.inbox_rules import Candidate, judge_key
from lambda_trigger.outcomes import Ignored, Outcome, Reason, Upload
from lambda_trigger.rules_document import Rules
from lambda_trigger.services import Storage
from lambda_trigger.sidecars import data_reached
from lambda_trigger.transport_errors import TransportError

# Up to this number of data files are asked for in the XML's own invocation;
# more go into the queue, one message each, so that no deployment is too large
# for an invocation and each file has retries of its own.
ASK_AT_ONCE = 10
MESSAGES_A_BATCH = 10
# Seconds left at which the rest is handed to the next invocation.
TIME_TO_HAND_OVER = 8.0

Settled = tuple[Upload, Outcome | Batchable]


@dataclass(frozen=True, slots=True)
class ArrivedSettings:
    """One settings XML and how to settle the data below its folder."""

    xml: Upload
    rules: Rules
    storage: Storage
    deadline: Deadline
    settle_one: Callable[[Upload, Candidate], Settled]

    def settle_data(self, queue_arn: str | None) -> Iterator[Settled]:
        """Ask for the data at once, or queue them; the XML's own outcome is the last to be given.

        Raises:
            TransportError: some could not be asked for; all others were.
        """
        xml = self.xml
        folder = xml.key[: xml.key.rfind("/") + 1]
        listing = self.storage.list_objects(
            xml.bucket, folder, self.deadline, below=True, after=xml.after
        )
        reached = data_reached(xml.bucket, xml.key, listing, self.rules)
        first = list(islice(reached, ASK_AT_ONCE + 1))
        if not first and not xml.after:
            yield xml, Ignored(Reason.SIDECAR_ALONE, "no AZFP data below its folder yet")
        elif len(first) > ASK_AT_ONCE and queue_arn:
            yield xml, Ignored(Reason.SIDECAR_USED, self._queue(chain(first, reached), queue_arn))
        else:
            asked_for = yield from self._ask(chain(first, reached))
            yield xml, Ignored(Reason.SIDECAR_USED, f"{asked_for} data files asked for")

    def _ask(self, data: Iterable[Listed]) -> Generator[Settled, None, int]:
        asked_for = 0
        errors: list[TransportError] = []
        for item in data:
            upload = replace(
                self.xml, key=item.key, size=item.size, etag=item.etag, version_id=None, after=""
            )
            candidate = judge_key(upload.bucket, upload.key, self.rules)
            if isinstance(candidate, Candidate):
                try:
                    yield self.settle_one(upload, candidate)
                    asked_for += 1
                except TransportError as error:
                    errors.append(error)
        if errors:
            raise errors[0]
        return asked_for

    def _queue(self, data: Iterator[Listed], queue_arn: str) -> str:
        """Queue a notification for each data file; what time does not allow, the next invocation does."""
        queued = 0
        while batch := list(islice(data, MESSAGES_A_BATCH)):
            bodies = [json.dumps(_notification(self.xml, item.key, item)) for item in batch]
            self.storage.send_messages(queue_arn, bodies, self.deadline)
            queued += len(batch)
            if self.deadline.left() < TIME_TO_HAND_OVER:
                rest = json.dumps(_notification(self.xml, self.xml.key, after=batch[-1].key))
                self.storage.send_messages(queue_arn, [rest], self.deadline)
                return f"{queued} data files queued, to be continued after {batch[-1].key}"
        return f"{queued} data files queued"


def _notification(
    xml: Upload, key: str, item: Listed | None = None, after: str = ""
) -> dict[str, Any]:
    """Write a notification as EventBridge would: of data that an XML sets free, or of the XML again."""
    described = {"key": key} | ({"size": item.size, "etag": item.etag} if item else {})
    return {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": xml.event_time,
        "detail": {
            "version": "0",
            "bucket": {"name": xml.bucket},
            "object": described,
            "request-id": xml.request_id,
            "reason": f"sidecar {xml.key}",
            "echodrop": {"generation": xml.generation, "lane": xml.lane, "after": after},
        },
    }

"""A settings XML has arrived: the AZFP data that waited for it are submitted, each with its own of several."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from lambda_trigger.clients.aws_answers import ObjectHead
from lambda_trigger.clients.aws_api import AwsApi
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.batches import Batchable
from lambda_trigger.decisions.inbox_rules import Candidate, judge_key
from lambda_trigger.decisions.outcomes import Ignored, Outcome, Reason, Upload
from lambda_trigger.decisions.rules_document import Rules
from lambda_trigger.decisions.sidecars import ListedObject, choose_by_instrument, data_below
from lambda_trigger.decisions.wording import counted
from sonar_models import SETTINGS_HEAD_BYTES, serial_in_bytes, serial_in_settings

# In a folder with more XMLs the serial numbers are not compared: it would take too many requests.
COMPARED_MOST = 20


@dataclass
class SettingsSerials:
    """Serial numbers of the XMLs that one invocation has read: (bucket, key, ETag) -> number."""

    known: dict[tuple[str, str, str], int | None] = field(default_factory=dict)

    def choose(
        self,
        storage: AwsApi,
        bucket: str,
        xmls: list[ListedObject],
        data: ObjectHead,
        deadline: Deadline,
    ) -> ListedObject | None:
        """Choose the XML of a data file among several, None if that is ambiguous."""
        serial = serial_in_bytes(data.head)
        serials: dict[str, int | None] = {}
        if serial is not None and len(xmls) <= COMPARED_MOST:
            for xml in xmls:
                name = bucket, xml.key, xml.etag
                if name not in self.known:
                    found = storage.read_head(
                        bucket,
                        xml.key,
                        etag=xml.etag,
                        count=SETTINGS_HEAD_BYTES,
                        deadline=deadline,
                    )
                    # An XML that is gone or archived decides nothing.
                    head = found.head if isinstance(found, ObjectHead) else b""
                    self.known[name] = serial_in_settings(head)
                serials[xml.key] = self.known[name]
        return choose_by_instrument(xmls, serial, serials, data.last_modified)


# Up to this number of data files are submitted in the XML's own invocation. More
# are queued, one message each: then no deployment is too large for an invocation,
# and each file has its own retries.
SUBMIT_AT_ONCE = 10
MESSAGES_PER_BATCH = 10
# With fewer seconds left, the next invocation queues the rest.
HAND_OVER_SECONDS = 8.0

Settled = tuple[Upload, Outcome | Batchable]


@dataclass(frozen=True, slots=True)
class ArrivedSettings:
    """One settings XML; it settles the data below the XML's folder."""

    xml: Upload
    rules: Rules
    storage: AwsApi
    deadline: Deadline
    settle_one: Callable[[Upload, Candidate], Settled]

    def settle_data(self, queue_arn: str | None) -> Iterator[Settled]:
        """Submit the data or queue them; the XML's own outcome is yielded last.

        Raises:
            TransportError: some data files failed; all others were submitted.
        """
        xml = self.xml
        folder = xml.key[: xml.key.rfind("/") + 1]
        listing = self.storage.list_objects(
            xml.bucket, folder, self.deadline, below=True, after=xml.after
        )
        data = data_below(xml.bucket, xml.key, listing, self.rules)
        first = list(islice(data, SUBMIT_AT_ONCE + 1))
        if not first and not xml.after:
            yield xml, Ignored(Reason.SIDECAR_ALONE, "no AZFP data below its folder yet")
        elif len(first) > SUBMIT_AT_ONCE and queue_arn:
            yield xml, Ignored(Reason.SIDECAR_USED, self._queue(chain(first, data), queue_arn))
        else:
            submitted = yield from self._submit(chain(first, data))
            yield xml, Ignored(Reason.SIDECAR_USED, f"{counted(submitted, 'data file')} submitted")

    def _submit(self, data: Iterable[ListedObject]) -> Generator[Settled, None, int]:
        submitted = 0
        errors: list[TransportError] = []
        for item in data:
            upload = replace(
                self.xml, key=item.key, size=item.size, etag=item.etag, version_id=None, after=""
            )
            candidate = judge_key(upload.bucket, upload.key, self.rules)
            if isinstance(candidate, Candidate):
                try:
                    yield self.settle_one(upload, candidate)
                    submitted += 1
                except TransportError as error:
                    errors.append(error)
        if errors:
            raise errors[0]
        return submitted

    def _queue(self, data: Iterator[ListedObject], queue_arn: str) -> str:
        """Queue a notification for each data file; without time, the next invocation continues."""
        queued = 0
        while batch := list(islice(data, MESSAGES_PER_BATCH)):
            bodies = [json.dumps(_notification(self.xml, item.key, item)) for item in batch]
            self.storage.send_messages(queue_arn, bodies, self.deadline)
            queued += len(batch)
            if self.deadline.left() < HAND_OVER_SECONDS:
                rest = json.dumps(_notification(self.xml, self.xml.key, after=batch[-1].key))
                self.storage.send_messages(queue_arn, [rest], self.deadline)
                return (
                    f"{counted(queued, 'data file')} queued, to be continued after {batch[-1].key}"
                )
        return f"{counted(queued, 'data file')} queued"


def _notification(
    xml: Upload, key: str, item: ListedObject | None = None, after: str = ""
) -> dict[str, Any]:
    """Return an EventBridge notification of a data file (`item`), or of the XML again."""
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

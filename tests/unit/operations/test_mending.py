"""What --fix sends and retries, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from events.sending import Message, ReplayRow
from lambda_trigger.notifications import read_body
from lambda_trigger.outcomes import Upload
from operations.findings import Action, End, Finding, Kind, Notify, Retry, Source
from operations.mending import Mender
from tests.unit.operations.conftest import MemoryRuns


@dataclass
class Queue:
    """A queue that refuses messages that name `refused`."""

    refused: str = "no such"
    sent: list[Message] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        self.batches.append(len(messages))
        rows = []
        for message in messages:
            bad = self.refused in message.body
            if not bad:
                self.sent.append(message)
            outcome = "Retried" if bad else "Sent"
            rows.append(ReplayRow(message.source, "", outcome, "", "too long" if bad else ""))
        return rows


def finding(key: str, action: Action | None) -> Finding:
    source = Source("inbox", key, 5, "tag", datetime(2026, 1, 1, tzinfo=UTC))
    return Finding(Kind.TORN, source.uri, "why", source=source, action=action)


def test_a_notification_names_the_upload_as_its_own_did() -> None:
    queue = Queue()
    list(Mender(queue, MemoryRuns()).mend([finding("a/ä +%.raw", Notify(2))]))
    (upload,) = read_body(queue.sent[0].body)
    assert isinstance(upload, Upload)
    assert (upload.bucket, upload.key, upload.etag) == ("inbox", "a/ä +%.raw", "tag")
    assert (upload.version_id, upload.generation) == (None, 2)
    assert "echodrop" not in json.loads(_body(Notify(0)))["detail"]


def _body(action: Notify) -> str:
    queue = Queue()
    list(Mender(queue, MemoryRuns()).mend([finding("k.raw", action)]))
    return queue.sent[0].body


def test_each_finding_is_acted_on_once_and_what_has_no_action_is_left() -> None:
    queue, runs = Queue(), MemoryRuns()
    findings = [finding(f"{number}.raw", Notify(0)) for number in range(23)]
    findings += [
        finding("r.raw", Retry("run", "state")),
        finding("e.raw", End("dead", "state", retry=True)),
        finding("f.raw", End("old", "state", retry=False)),
        finding("x.raw", None),
    ]
    done = list(Mender(queue, runs).mend(iter(findings)))
    assert [message.source for message in queue.sent] == [each.uri for each in findings[:23]]
    assert max(queue.batches) <= 10
    assert runs.retried == ["run"]
    assert runs.ended == [("dead", 3), ("old", 0)]
    assert [each.finding for each in done] == findings[:26]
    assert all(each.done for each in done)


def test_what_the_queue_does_not_take_is_told() -> None:
    queue = Queue(refused="bad.raw")
    good, bad = Mender(queue, MemoryRuns()).mend(
        [finding("good.raw", Notify(0)), finding("bad.raw", Notify(0))]
    )
    assert (good.what, good.done) == ("notified", True)
    assert (bad.what, bad.done) == ("not sent: too long", False)


def test_a_dry_run_only_says_it() -> None:
    queue, runs = Queue(), MemoryRuns()
    findings = [
        finding("a.raw", Notify(0)),
        finding("b.raw", Retry("run", "state")),
        finding("c.raw", End("dead", "state", retry=True)),
        finding("d.raw", End("dead", "state", retry=False)),
    ]
    said = [each.what for each in Mender(queue, runs, dry_run=True).mend(findings)]
    assert said == ["would notify", "would retry", "would end and retry", "would end"]
    assert (queue.sent, runs.retried, runs.ended) == ([], [], [])

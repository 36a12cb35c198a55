"""Dead letters are replayed through the trigger's queue: none is lost, and none loops."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from events.notifications import NotifiedObject
from events.sending import Message, ReplayRow
from flows.stores.object_store import ObjectStore
from operations.replay.dead_letters import REPLAYS, DeadLetterReplay
from operations.sending.back_pressure import Pace
from sandbox.parts.waiting import wait_until
from tests.envelopes import ENVELOPES

BUCKET, PREFIX = "dead-letters-output", "quarantine/dead-letters/"


@dataclass
class Queues:
    """A queue with its dead-letter queue, and a trigger that fails on poison messages."""

    sqs: Any
    s3: Any
    queue: str
    dlq: str
    prefix: str
    done: list[str] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)

    def bury(self, bodies: Sequence[str], **attributes: str) -> None:
        """Send messages to the dead-letter queue."""
        stored = {
            name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()
        }
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(index), "MessageBody": body, "MessageAttributes": stored}
                for index, body in enumerate(bodies[start : start + 10])
            ]
            self.sqs.send_message_batch(QueueUrl=self.dlq, Entries=entries)

    def trigger(self) -> None:
        """Deliver all messages of the queue; SQS moves failed ones to the dead-letter queue."""
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0
        ).get("Messages"):
            taken = [each for each in messages if "poison" not in each["Body"]]
            self.delivered += [each["Body"] for each in messages]
            self.done += [each["Body"] for each in taken]
            if taken:
                self.sqs.delete_message_batch(
                    QueueUrl=self.queue,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": each["ReceiptHandle"]}
                        for index, each in enumerate(taken)
                    ],
                )

    def replay(self, sqs: Any = None, **settings: Any) -> DeadLetterReplay:
        places = (sqs or self.sqs, self.dlq, self.queue, ObjectStore(self.s3, BUCKET), self.prefix)
        return DeadLetterReplay(*places, **settings)

    def count(self) -> int:
        return self.replay().count()

    def set_aside(self) -> list[dict[str, Any]]:
        listing = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix)
        return [
            json.loads(self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
            for item in listing.get("Contents", [])
        ]


@pytest.fixture
def queues(aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Queues:
    # moto waits for the whole poll if a queue is empty.
    monkeypatch.setattr("operations.replay.dead_letters._POLL_SECONDS", 0)
    sqs, s3, mark = aws("sqs"), aws("s3"), uuid.uuid4().hex[:12]
    dlq = sqs.create_queue(QueueName=f"dead-{mark}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]
    policy = {"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 1}
    queue = sqs.create_queue(
        QueueName=f"live-{mark}", Attributes={"RedrivePolicy": json.dumps(policy)}
    )["QueueUrl"]
    s3.create_bucket(Bucket=BUCKET)
    return Queues(sqs, s3, queue, dlq, f"{PREFIX}{mark}/")


def body_of(name: str) -> str:
    return ENVELOPES["eventbridge"](NotifiedObject("inbox", f"{name}.raw", 1, "tag"))


class ReplayInterrupted:
    """SQS whose operator presses Ctrl-C right after, or before, the n-th call of a method."""

    def __init__(self, sqs: Any, method: str, calls: int, *, after: bool) -> None:
        self._sqs, self._method, self._calls, self._after = sqs, method, calls, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._sqs, name)
        if name != self._method:
            return real

        def call(**request: Any) -> Any:
            self._calls -= 1
            if self._calls == 0 and not self._after:
                raise KeyboardInterrupt
            answer = real(**request)
            if self._calls == 0:
                raise KeyboardInterrupt
            return answer

        return call


@pytest.mark.slow
def test_of_200_messages_190_are_done_and_10_set_aside_despite_two_interruptions(
    queues: Queues,
) -> None:
    good = [body_of(f"good-{number}") for number in range(190)]
    bad = [body_of(f"poison-{number}") for number in range(10)]
    queues.bury([*good[:95], *bad, *good[95:]])

    between = ReplayInterrupted(queues.sqs, "send_message_batch", 7, after=True)
    with pytest.raises(KeyboardInterrupt):
        list(queues.replay(between).run())
    queues.trigger()
    before = ReplayInterrupted(queues.sqs, "delete_message_batch", 6, after=False)
    with pytest.raises(KeyboardInterrupt):
        list(queues.replay(before).run())
    for _ in range(3):
        queues.trigger()
        list(queues.replay().run())

    assert queues.count() == 0
    assert sorted(set(queues.done)) == sorted(good)
    assert sorted(item["body"] for item in queues.set_aside()) == sorted(bad)
    # At most one batch was in progress at each interruption.
    assert len(queues.delivered) <= 200 + 2 * 10


def test_messages_of_a_killed_command_reappear(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.replay.dead_letters._HIDDEN_SECONDS", 1)
    queues.bury([body_of("a")])
    with pytest.raises(KeyboardInterrupt):
        list(queues.replay(ReplayInterrupted(queues.sqs, "receive_message", 1, after=True)).run())
    assert queues.count() == 1
    wait_until(lambda: list(queues.replay().run()), 30, "the message to come back")
    queues.trigger()
    assert queues.done == [body_of("a")]


def test_a_poison_message_is_set_aside_with_its_reason_and_uploads(queues: Queues) -> None:
    queues.bury([body_of("poison ä")])
    list(queues.replay().run())
    queues.trigger()
    (replayed,) = queues.replay(diagnose=lambda messages: [retried(messages[0])]).run()
    assert replayed.what == "set aside"
    (stored,) = queues.set_aside()
    assert stored["reason"] == "failed again after it was sent 1 time; refused: HTTP 409"
    assert stored["uploads"] == ["s3://inbox/poison ä.raw"]
    assert stored["message_id"] == replayed.letter.id
    assert stored["body"] == body_of("poison ä")
    assert queues.count() == 0


def retried(message: Message) -> ReplayRow:
    return ReplayRow(message.source, "", "Retried", "refused", "HTTP 409")


def test_a_message_that_the_trigger_accepts_during_diagnosis_is_settled(queues: Queues) -> None:
    queues.bury([body_of("poison")])
    list(queues.replay().run())
    queues.trigger()
    submitted = ReplayRow("", "", "Submitted", "new", "")
    (replayed,) = queues.replay(diagnose=lambda _: [submitted]).run()
    assert (replayed.what, replayed.detail) == ("settled", "Submitted: new")
    assert queues.set_aside() == []
    assert queues.count() == 0


def test_the_reason_of_eventbridge_is_kept(queues: Queues) -> None:
    again = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not allowed", REPLAYS: "1"}
    queues.bury([body_of("a")], **again)
    (replayed,) = queues.replay().run()
    assert replayed.detail.endswith("sent 1 time: NO_PERMISSIONS not allowed")


def test_a_message_that_the_queue_refuses_stays(queues: Queues) -> None:
    queues.bury([body_of("a"), body_of("b")])

    class RefusingQueue:
        def __getattr__(self, name: str) -> Any:
            return getattr(queues.sqs, name)

        def send_message_batch(self, **request: Any) -> dict[str, Any]:
            index = next(
                entry["Id"] for entry in request["Entries"] if "b.raw" in entry["MessageBody"]
            )
            return {"Failed": [{"Id": index, "Message": "too long"}]}

    stored = {each.letter.body: each for each in queues.replay(RefusingQueue(), limit=2).run()}
    assert stored[body_of("a")].what == "sent"
    assert (stored[body_of("b")].what, stored[body_of("b")].detail) == ("kept", "too long")
    assert [each.letter.body for each in queues.replay().run(dry_run=True)] == [body_of("b")]


def test_a_preview_leaves_all_in_place_for_the_next_call(queues: Queues) -> None:
    queues.bury([body_of(str(number)) for number in range(12)])
    assert [each.what for each in queues.replay().run(dry_run=True)] == ["would send"] * 12
    queues.trigger()
    assert queues.done == []
    assert len(list(queues.replay().run())) == 12


def test_a_preview_of_a_long_queue_lists_each_message_once(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.replay.dead_letters._HIDDEN_SECONDS", 0)
    bodies = [body_of(str(number)) for number in range(7)]
    queues.bury(bodies)
    assert sorted(each.letter.body for each in queues.replay().run(dry_run=True)) == sorted(bodies)


def test_limit_and_rate_are_kept(queues: Queues) -> None:
    queues.bury([body_of(str(number)) for number in range(25)])
    calls: list[Any] = []

    class Recording:
        def __getattr__(self, name: str) -> Any:
            if name in {"receive_message", "delete_message_batch"}:
                calls.append(name)
            return getattr(queues.sqs, name)

    pace = Pace(0.5, sleep=calls.append, clock=lambda: 0.0)
    replay = queues.replay(Recording(), limit=12, pace=pace)
    assert len(list(replay.run())) == 12
    # The last two wait for the first ten, and are hidden only after that.
    received = ["receive_message", "delete_message_batch"]
    assert calls == [*received, 20, *received]
    assert replay.count() == 13


def test_large_messages_go_in_requests_that_sqs_takes(queues: Queues) -> None:
    queues.bury([f"{number}{'x' * 25_000}" for number in range(10)])
    queues.bury(["y" * 100_000])
    sizes: list[int] = []

    class Weighing:
        def __getattr__(self, name: str) -> Any:
            return getattr(queues.sqs, name)

        def send_message_batch(self, **request: Any) -> Any:
            sizes.append(sum(len(entry["MessageBody"]) for entry in request["Entries"]))
            return queues.sqs.send_message_batch(**request)

    assert len(list(queues.replay(Weighing()).run())) == 11
    assert sum(sizes) == 350_010
    assert max(sizes) <= 240_000

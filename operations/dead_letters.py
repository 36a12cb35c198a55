"""Sends dead letters through the trigger's queue again, and sets aside those that fail once more.

A message that is sent again carries how often that was done, as an attribute
that SQS keeps when it moves the message back. One that comes back is poison:
it goes, with its reason, into a bucket. A message leaves the dead-letter queue
only after it is in the queue, or in the bucket. Stopped at any point, the next
call goes on: what was sent and not yet deleted is sent twice, which run
identity makes harmless, and what is set aside twice is one object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from events.sending import Message, ReplayRow
from operations.dead_letter_queue import REPLAYS, DeadLetter, DeadLetterQueue
from operations.poison import Quarantine

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# SQS takes 256 KiB a request where it is old-fashioned, attributes included.
_BYTES_A_REQUEST = 240_000

What = Literal["sent", "set aside", "settled", "kept", "would send", "would set aside"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one message. `detail` is where it was set aside, or why it was kept."""

    letter: DeadLetter
    what: What
    detail: str = ""


# Calls the trigger with the messages, here, and tells what became of each record.
Diagnose = Callable[[Sequence[Message]], list[ReplayRow]]


@dataclass
class DeadLetterReplay:
    """One pass over a dead-letter queue.

    Attributes:
        dead: the dead-letter queue.
        sqs: the client of the trigger's queue.
        queue_url: of the trigger's queue.
        quarantine: where poison goes.
        diagnose: asks the trigger for the reason; None where its settings are not at hand.
        replays: how often a message is sent again before it counts as poison.
        rate: messages a second at most; None as fast as it goes.
        limit: messages at most.
    """

    dead: DeadLetterQueue
    sqs: SQSClient
    queue_url: str
    quarantine: Quarantine
    diagnose: Diagnose | None = None
    replays: int = 1
    rate: float | None = None
    limit: int | None = None
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> Iterator[Replayed]:
        """Send or set aside every message there is, giving each as it is done.

        Raises:
            ClientError: a queue or the bucket refuses.
        """
        try:
            for letters in self.dead.received(self.limit):
                began = time.monotonic()
                poison = [each for each in letters if each.replays >= self.replays]
                for letter in poison:
                    yield self._set_aside(letter)
                for lot in _lots([each for each in letters if each.replays < self.replays]):
                    yield from self._send(lot)
                if self.rate:
                    spent = time.monotonic() - began
                    self.sleep(max(0.0, len(letters) / self.rate - spent))
        finally:
            self.dead.give_back()

    def preview(self) -> Iterator[Replayed]:
        """Say of each message once what would be done; all stay where they are.

        Over a queue that is longer than messages are held, the first come again: that ends it.
        """
        seen: set[str] = set()
        try:
            for letters in self.dead.received(self.limit):
                new = [letter for letter in letters if letter.id not in seen]
                if not new:
                    return
                seen.update(letter.id for letter in new)
                for letter in new:
                    is_poison = letter.replays >= self.replays
                    yield Replayed(letter, "would set aside" if is_poison else "would send")
        finally:
            self.dead.give_back()

    def _send(self, letters: list[DeadLetter]) -> Iterator[Replayed]:
        answer = self.sqs.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {
                    "Id": str(index),
                    "MessageBody": letter.body,
                    "MessageAttributes": {
                        REPLAYS: {"DataType": "Number", "StringValue": str(letter.replays + 1)}
                    },
                }
                for index, letter in enumerate(letters)
            ],
        )
        refused = {int(entry["Id"]): entry.get("Message", "") for entry in answer.get("Failed", [])}
        self.dead.delete([each for index, each in enumerate(letters) if index not in refused])
        for index, letter in enumerate(letters):
            if index in refused:
                yield Replayed(letter, "kept", refused[index])
            else:
                yield Replayed(letter, "sent")

    def _set_aside(self, letter: DeadLetter) -> Replayed:
        times = f"failed again after it was sent {letter.replays} times"
        why = letter.undelivered
        reason = f"{times}: {why}" if why else times
        if self.diagnose is not None:
            rows = self.diagnose([Message(letter.id, letter.body)])
            faults = [row for row in rows if row.outcome == "Retried"]
            if rows and not faults:
                # What was in its way is gone by now: the trigger has just taken it.
                self.dead.delete([letter])
                outcomes = ", ".join(f"{row.outcome}: {row.reason}" for row in rows)
                return Replayed(letter, "settled", outcomes)
            reason = "; ".join([times, *(f"{row.reason}: {row.detail}" for row in faults)])
        place = self.quarantine.put(letter, reason)
        self.dead.delete([letter])
        return Replayed(letter, "set aside", f"{place}: {reason}")


def _lots(letters: list[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Batches that one request to SQS may carry."""
    lot: list[DeadLetter] = []
    size = 0
    for letter in letters:
        length = len(letter.body.encode()) + 100
        if lot and size + length > _BYTES_A_REQUEST:
            yield lot
            lot, size = [], 0
        lot.append(letter)
        size += length
    if lot:
        yield lot

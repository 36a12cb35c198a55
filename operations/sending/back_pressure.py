"""Limits the rate of a sender, and how many uploads of a backfill are in progress: live uploads do not wait behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lambda_trigger.decisions.wording import counted
from operations.clients.prefect_runs import PrefectRuns

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Live uploads share the queue with a backfill and wait behind its messages: allow no more than
# the trigger processes within seconds.
MESSAGES = 10
RUNS = 200
_POLL_SECONDS = 2.0


def messages_in(sqs: SQSClient, queue_url: str) -> int:
    """The approximate number of messages in a queue, including those in flight."""
    wanted: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=wanted)
    return sum(map(int, answer["Attributes"].values()))


@dataclass(frozen=True)
class BackPressure:
    """Limits the messages in the trigger's queue and the runs of the lane.

    SQS reports its depth up to a minute late.

    Attributes:
        runs: how many runs may be unfinished. Each waiting message counts as `together` runs;
            a batch counts as one, no matter how many files it has.
    """

    sqs: SQSClient
    queue_url: str
    lane: PrefectRuns
    work_queue: str
    messages: int = MESSAGES
    runs: int = RUNS
    together: int = 1
    sleep: Callable[[float], None] = time.sleep

    def wait(self, report: Callable[[str], None] = lambda _why: None) -> None:
        """Wait until another message may be sent; report the reason for waiting."""
        while why := self._reason_to_wait():
            report(why)
            self.sleep(_POLL_SECONDS)

    def _reason_to_wait(self) -> str:
        if (waiting := messages_in(self.sqs, self.queue_url)) >= self.messages:
            return f"{counted(waiting, 'message')} in the trigger's queue"
        unfinished = self.lane.unfinished_in(self.work_queue)
        if unfinished + waiting * self.together >= self.runs:
            return (
                f"{counted(unfinished, 'run')} of the lane {'has' if unfinished == 1 else 'have'} not"
                f" ended, {counted(waiting, 'message')} will start more"
            )
        return ""


@dataclass
class Pace:
    """Limits a sender to `rate` items a second; None sets no limit.

    A sender that was slower than the rate does not catch up afterwards.
    """

    rate: float | None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, init=False)

    def take(self, count: int = 1) -> None:
        """Wait until `count` more items may be sent."""
        if count:
            self.wait()
            self.sent(count)

    def wait(self) -> None:
        """Wait until more items may be sent."""
        if self.rate and (wait := self._next - self.clock()) > 0:
            self.sleep(wait)

    def sent(self, count: int) -> None:
        """Count items that are sent after `wait`."""
        if self.rate:
            self._next = max(self._next, self.clock()) + count / self.rate

"""How much of a backfill may be on its way at a time, so that live uploads have the way to themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Messages of a backfill stand before a live upload's in the one queue: no more than
# the trigger takes within seconds.
MESSAGES = 10
RUNS = 200
_EVERY_SECONDS = 2.0


class Lane(Protocol):
    """What is asked of Prefect."""

    def unended_in(self, work_queue: str) -> int:
        """How many runs of a work queue have not ended."""


def room_in_lane(lane: Lane, work_queue: str, runs: int = RUNS) -> int:
    """How many more runs a lane takes until so many are unended.

    Raises:
        PrefectUnavailableError: it can't be found out.
    """
    return max(0, runs - lane.unended_in(work_queue))


@dataclass(frozen=True)
class BackPressure:
    """Bounds the trigger's queue and the lane's runs; what SQS tells of its depth may be a minute old.

    Attributes:
        messages: that may wait in the queue, whoever sent them.
        runs: that may be unended, each waiting message counted as `together` of them; a
            batch is one, whatever files it has.
    """

    sqs: SQSClient
    queue_url: str
    lane: Lane
    work_queue: str
    messages: int = MESSAGES
    runs: int = RUNS
    together: int = 1
    sleep: Callable[[float], None] = time.sleep

    def wait(self, told: Callable[[str], None] = lambda _why: None) -> None:
        """Wait until another message may go; say what for.

        Raises:
            ClientError, PrefectUnavailableError: it can't be found out.
        """
        while why := self._in_the_way():
            told(why)
            self.sleep(_EVERY_SECONDS)

    def _in_the_way(self) -> str:
        answer = self.sqs.get_queue_attributes(
            QueueUrl=self.queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        if (waiting := sum(map(int, answer["Attributes"].values()))) >= self.messages:
            return f"{waiting} messages in the trigger's queue"
        unended = self.lane.unended_in(self.work_queue)
        if unended + waiting * self.together >= self.runs:
            return (
                f"{unended} runs of the lane have not ended, {waiting} messages are to become some"
            )
        return ""

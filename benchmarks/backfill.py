"""Measures memory and seconds of `echodrop backfill` with a generated listing.

    python -m benchmarks.backfill [--keys 100000]

Every message goes directly to the trigger's own code, which decides on each upload,
reads its first bytes and requests its run; fakes in the same process answer. The rate
limit is stubbed (no pause), so the seconds are those of the backfill and the trigger.
Each call runs in its own process. The baseline for memory is a listing of a hundredth
of the size.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from benchmarks.measuring.fake_inbox import RULES, WHEN, etag
from benchmarks.measuring.measured import Measured, called
from lambda_trigger.clients.aws_answers import ObjectHead
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import FlowRun
from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import BACKFILL, Upload
from lambda_trigger.decisions.rules_document import parse_rules
from lambda_trigger.submission import Submission
from operations.backfill.archive_sender import Backfill
from operations.backfill.checkpoint import checkpoint_of
from operations.inventory.archive_items import Listing
from operations.sending.back_pressure import BackPressure
from tests.file_heads import file_head

# Largest allowed ratio of memory, with 100 times the keys.
MEMORY_AT_MOST = 1.2


@dataclass
class FakeArchive:
    """A fake archive, whose listing is generated on request."""

    keys: int
    requests: Counter[str] = field(default_factory=Counter)

    def get_paginator(self, operation: str) -> FakeArchive:
        """Return itself as the paginator of the listing."""
        del operation
        return self

    def paginate(self, StartAfter: str = "", **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's
        """List in pages of 1,000, after a key."""
        first = number_of(StartAfter) + 1 if StartAfter else 0
        numbers = iter(range(first, self.keys))
        while page := list(islice(numbers, 1000)):
            self.requests["ListObjectsV2"] += 1
            yield {"Contents": list(map(self._item, page))}

    @staticmethod
    def _item(number: int) -> dict[str, Any]:
        key = f"cruise/d{number:08}.raw"
        return {
            "Key": key,
            "Size": 7_000_000,
            "ETag": f'"{etag(number)}"',
            "LastModified": WHEN,
        }


@dataclass
class TriggerBehindQueue:
    """The trigger's queue, read immediately by the trigger's code; counts the requested runs."""

    requests: Counter[str]
    head: bytes
    rules: Any

    def get_queue_attributes(self, **_: object) -> dict[str, Any]:
        """Report an empty queue."""
        self.requests["GetQueueAttributes"] += 1
        return {"Attributes": {}}

    def unfinished_in(self, work_queue: str) -> int:
        """Report that no run is unfinished."""
        del work_queue
        self.requests["flow_runs/count"] += 1
        return 0

    def send_message(self, **message: str) -> None:
        """Process one message, as the trigger does."""
        self.requests["SendMessage"] += 1
        me: Any = self
        submission = Submission(self.rules, me, me, Deadline(60))
        for notice in read_body(message["MessageBody"]):
            if not isinstance(notice, Upload):
                raise TypeError(f"not a notification of an upload: {notice}")
            list(submission.settle(notice, None))

    def read_head(self, bucket: str, key: str, **_: object) -> Any:  # noqa: ANN401 - a fake
        """Answer like S3, with an EK60 file's first bytes."""
        del bucket
        return ObjectHead(self.head, 7_000_000, etag(number_of(key)), None, {}, 0)

    def create_run(self, wanted: Any, _deadline: object) -> Any:  # noqa: ANN401 - a fake
        """Answer like Prefect."""
        self.requests["create_flow_run"] += 1
        return FlowRun("", wanted.name, "Scheduled", created=True)


def number_of(key: str) -> int:
    """Return the number in a key."""
    return int(key[-12:-4])


def send(keys: int, folder: str) -> dict[str, Any]:
    """Send a listing of this size, in this process."""
    rules = parse_rules(RULES)
    s3: Any = FakeArchive(keys)
    noted = checkpoint_of("s3://inbox/", "queue", Path(folder, "checkpoint.json"))
    trigger: Any = TriggerBehindQueue(s3.requests, file_head("EK60"), rules)
    pressure = BackPressure(trigger, "queue", trigger, BACKFILL)
    started = time.perf_counter()
    for _ in Backfill(rules, Listing(s3, "inbox"), noted, trigger, pressure).run():
        pass
    return {"seconds": time.perf_counter() - started, "requests": dict(s3.requests)}


def measured(keys: int) -> tuple[float, Measured]:
    """Send a listing in a process of its own: the seconds without imports, and the process.

    Raises:
        SystemExit: not every key has its run.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, process = called(send, keys, folder)
    print(f"{keys:>9,} keys: {result['seconds']:.1f} s, peak {process.megabytes:.0f} MB")
    print(f"          requests {result['requests']}")
    if result["requests"]["create_flow_run"] != keys:
        raise SystemExit("not every key has its run")
    return result["seconds"], process


def main(keys: int = 100_000) -> None:
    """Measure both sizes."""
    (before, small), (seconds, large) = measured(keys // 100), measured(keys)
    memory = large.megabytes / small.megabytes
    print(f"memory, 100 times the keys: x{memory:.2f}, at most x{MEMORY_AT_MOST}")
    print(f"seconds, 100 times the keys: x{seconds / before:.0f}")
    if memory > MEMORY_AT_MOST:
        raise SystemExit("memory grows with the keys")


if __name__ == "__main__":
    typer.run(main)

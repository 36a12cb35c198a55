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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from benchmarks.measuring.fake_inbox import RULES, FakeBuckets, FakeTrigger, World
from benchmarks.measuring.measured import Measured, called
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

# Largest allowed ratio of memory, with 100 times the keys.
MEMORY_AT_MOST = 1.2


@dataclass
class TriggerBehindQueue(FakeTrigger):
    """The trigger's queue, read immediately by the trigger's code; counts the requested runs."""

    rules: Any = field(default_factory=lambda: parse_rules(RULES))

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

    def create_run(self, wanted: Any, _deadline: object) -> Any:  # noqa: ANN401 - a fake
        """Answer like Prefect."""
        self.requests["create_flow_run"] += 1
        return FlowRun("", wanted.name, "Scheduled", created=True)


def send(keys: int, folder: str) -> dict[str, Any]:
    """Send a listing of this size, in this process."""
    s3: Any = FakeBuckets(World(keys, 0))
    noted = checkpoint_of("s3://inbox/", "queue", Path(folder, "checkpoint.json"))
    trigger: Any = TriggerBehindQueue(s3.requests)
    pressure = BackPressure(trigger, "queue", trigger, BACKFILL)
    started = time.perf_counter()
    for _ in Backfill(trigger.rules, Listing(s3, "inbox"), noted, trigger, pressure).run():
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

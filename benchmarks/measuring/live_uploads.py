"""Makes live uploads in a sandbox, and measures the stages of each."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measuring.run_times import RunTimes, run_times
from sandbox.inbox import SandboxInbox
from sandbox.system import Sandbox

WAIT_SECONDS = 1800


@dataclass(frozen=True)
class Live:
    """One live upload: its time, its run's times, the messages in the queue before it."""

    dropped: datetime
    times: RunTimes
    messages: int

    def stages(self) -> dict[str, float]:
        """Return the seconds of each stage."""
        times = self.times
        if times.pending is None or times.started is None or times.ended is None:
            raise ValueError(f"the run has not ended: {times}")
        points = [self.dropped, times.created, times.pending, times.started, times.ended]
        found = [(to - of).total_seconds() for of, to in itertools.pairwise(points)]
        return {
            "upload -> run requested (trigger)": found[0],
            "requested -> taken (lane, worker)": found[1],
            "taken -> Running (task's start)": found[2],
            "upload -> Running": sum(found[:3]),
            "upload -> Completed": sum(found),
        }


@dataclass
class Drops:
    """Makes live uploads one after another, and waits for the end of each."""

    sandbox: Sandbox
    file: Path
    keys: list[str] = field(default_factory=list)

    def drop(self, key: str) -> Live:
        """Upload one file and wait for the end of its run."""
        inbox, messages = SandboxInbox(self.sandbox), queued(self.sandbox)
        dropped = datetime.now(UTC)
        inbox.drop(self.file, key)
        self.keys.append(key)
        run = inbox.wait_for_ends([key], WAIT_SECONDS)[key]
        if run.state_name != "Completed":
            raise SystemExit(f"{key}: {run.state_name}: {run.message}")
        return Live(dropped, run_times(self.sandbox.api, run.id), messages)


def queued(sandbox: Sandbox) -> int:
    """The number of messages in the trigger's queue, including those in flight."""
    sqs, names = (
        sandbox.client("sqs"),
        ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    url = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(map(int, found.values()))


def print_stages(baseline: Sequence[Live], during: Sequence[Live]) -> None:
    """Print each stage's medians."""
    print(f"\n{'live uploads, median seconds':<36}{'idle':>8}{'backfill':>10}{'ratio':>8}")
    for stage in baseline[0].stages():
        idle, busy = (
            statistics.median(live.stages()[stage] for live in lives)
            for lives in (baseline, during)
        )
        print(f"{stage:<36}{idle:>8.2f}{busy:>10.2f}{busy / idle:>8.2f}")
    each = " ".join(f"{live.stages()['upload -> Running']:.1f}" for live in during)
    print(f"upload -> Running, each: {each} s")

"""Makes live uploads in a sandbox, and measures the stages of each."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from operations.sending.back_pressure import messages_in
from sandbox.inbox import SandboxInbox
from sandbox.prefect.prefect_api import FINAL_STATES, SandboxPrefectApi
from sandbox.system import Sandbox

WAIT_SECONDS = 1800


@dataclass(frozen=True)
class RunTimes:
    """Times of a flow run; None if the run has not reached the state.

    Attributes:
        created: when it was created.
        pending: when the worker first took it from its work queue.
        started: when it first ran.
        ended: when it last ended.
    """

    created: datetime
    pending: datetime | None
    started: datetime | None
    ended: datetime | None


def run_times(api: SandboxPrefectApi, run_id: str) -> RunTimes:
    """Return the times of a run from its state history.

    Raises:
        ValueError: the history is empty.
    """
    states = api.request("GET", f"/flow_run_states/?flow_run_id={run_id}")
    found = sorted((datetime.fromisoformat(state["timestamp"]), state["type"]) for state in states)
    if not found:
        raise ValueError(f"flow run {run_id} has no states")
    last_at, last = found[-1]
    return RunTimes(
        created=found[0][0],
        pending=next((at for at, kind in found if kind == "PENDING"), None),
        started=next((at for at, kind in found if kind == "RUNNING"), None),
        ended=last_at if last in FINAL_STATES else None,
    )


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
        inbox, sqs = SandboxInbox(self.sandbox), self.sandbox.client("sqs")
        queue = sqs.get_queue_url(QueueName=self.sandbox.names.notifications_queue)["QueueUrl"]
        messages = messages_in(sqs, queue)
        dropped = datetime.now(UTC)
        inbox.drop(self.file, key)
        self.keys.append(key)
        run = inbox.wait_for_ends([key], WAIT_SECONDS)[key]
        if run.state_name != "Completed":
            raise SystemExit(f"{key}: {run.state_name}: {run.message}")
        return Live(dropped, run_times(self.sandbox.api, run.id), messages)


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

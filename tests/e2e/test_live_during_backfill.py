"""A live upload starts while an archive is being converted, before the archive's waiting runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lambda_trigger.decisions.outcomes import BACKFILL, LIVE
from sandbox.parts.environments import system_environment
from sandbox.parts.waiting import wait_until
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox

pytestmark = pytest.mark.xdist_group("sandbox")

ARCHIVE = "ten-years/"
SMALL = "ek80/-1519668699940320059.raw"


@pytest.fixture
def narrow_lane(sandbox: Sandbox) -> Iterator[None]:
    """Run one backfill run at a time, so that the sandbox's tasks have enough room, as on Fargate."""
    queue = f"/work_pools/{sandbox.names.work_pool}/queues/{BACKFILL}"
    before = sandbox.api.request("GET", queue)["concurrency_limit"]
    sandbox.api.request("PATCH", queue, {"concurrency_limit": 1})
    yield
    sandbox.api.request("PATCH", queue, {"concurrency_limit": before})


def of_archive(sandbox: Sandbox, inbox: SandboxInbox) -> list[dict[str, Any]]:
    """The runs of the archive's files, with one file or several."""
    body = {"flow_runs": {"work_queue_name": {"any_": [BACKFILL]}}}
    runs: list[dict[str, Any]] = sandbox.api.request("POST", "/flow_runs/filter", body)
    return [run for run in runs if inbox.uri(ARCHIVE) in json.dumps(run["parameters"])]


@dataclass(frozen=True)
class RunTimes:
    """When a run was created, first taken by the worker, and first ran."""

    created: datetime
    pending: datetime | None
    started: datetime | None


def run_times(sandbox: Sandbox, run_id: str) -> RunTimes:
    states = sandbox.api.request("GET", f"/flow_run_states/?flow_run_id={run_id}")
    found = sorted((datetime.fromisoformat(state["timestamp"]), state["type"]) for state in states)

    def first(wanted: str) -> datetime | None:
        return next((at for at, kind in found if kind == wanted), None)

    return RunTimes(found[0][0], first("PENDING"), first("RUNNING"))


def begun(times: RunTimes) -> datetime:
    assert times.started is not None
    return times.started


def test_live_uploads_start_while_a_throttled_backfill_runs_and_waits(
    sandbox: Sandbox, inbox: SandboxInbox, real_data: Path, tmp_path: Path, narrow_lane: None
) -> None:
    del narrow_lane
    archive = [f"{ARCHIVE}{number:02}.raw" for number in range(8)]
    live = ["just-now/0.raw", "just-now/1.raw"]
    s3, bucket = sandbox.client("s3"), sandbox.names.inbox_bucket
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    for key in archive:
        inbox.drop(real_data / SMALL, key)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )

    def states() -> set[str]:
        sandbox.check()
        return {run["state"]["type"] for run in of_archive(sandbox, inbox)}

    stack = sandbox.stack.resolver.account.stack_name
    backfill = subprocess.Popen(
        [
            *(sys.executable, "-m", "echodrop", "backfill", f"s3://{bucket}/{ARCHIVE}"),
            *("--stack", stack, "--checkpoint", str(tmp_path / "checkpoint"), "--json"),
            *("--together", "1", "--outstanding", "4"),
        ],
        env={**system_environment(), **sandbox.environment()},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: {"RUNNING", "SCHEDULED"} <= states(), 120, "the lane to be full")
        lives = []
        for key in live:
            inbox.drop(real_data / SMALL, key)
            lives.append(inbox.wait_for_ends([key], 480)[key])
        out, _ = backfill.communicate(timeout=240)
    finally:
        backfill.kill()
        backfill.wait()
    assert backfill.returncode == 0
    assert json.loads(out)["sent"] == len(archive)
    wait_until(lambda: states() == {"COMPLETED"}, 240, "the archive to be converted", every=1)

    lane = [run_times(sandbox, run["id"]) for run in of_archive(sandbox, inbox)]
    met = 0
    for run in lives:
        assert run.state_name == "Completed"
        times = run_times(sandbox, run.id)
        waiting = [
            other
            for other in lane
            if other.created < times.created and other.pending and other.pending > times.created
        ]
        # One run may take the place that becomes free at that moment.
        if len(waiting) > 1:
            met += 1
            assert any(begun(other) > begun(times) for other in waiting), "it began behind them all"
        details = sandbox.api.request("GET", f"/flow_runs/{run.id}")
        assert details["work_queue_name"] == LIVE
    assert met, "no live upload met a backfill that waits"
    for key in [*archive, *live]:
        manifest = f"{key.removesuffix('.raw')}.zarr.manifest.json"
        stored = s3.get_object(Bucket=sandbox.names.output_bucket, Key=manifest)["Body"].read()
        assert json.loads(stored)["source"]["uri"] == inbox.uri(key)

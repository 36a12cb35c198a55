"""A task killed in the midst of its work is known to have crashed, and runs once more on the large size."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.measuring.grow import grow
from sandbox.parts.waiting import wait_until
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox
from tests.task_processes import flow_process, task_processes

pytestmark = pytest.mark.xdist_group("sandbox")

KEY = "crash/grown.raw"
STORE = "crash/grown.zarr"
# Large enough that its publication takes many times the slice it may run for
# between two looks at the bucket, however fast the machine.
GROWN_BYTES = 20_000_000
SLICE_SECONDS = 0.02


def test_a_task_killed_while_it_publishes_runs_once_more_on_the_large_size_and_completes(
    sandbox: Sandbox, inbox: SandboxInbox, real_data: Path, tmp_path: Path
) -> None:
    import echopype  # noqa: PLC0415 - takes seconds, and only some tests need it

    grown = tmp_path / "grown.raw"
    grow(real_data / "ek60/D20070724-T042400.raw", grown, GROWN_BYTES)
    inbox.drop(grown, KEY)
    run = wait_until(lambda: running(inbox), 120, "the run to start", every=0.5)
    task = task_processes(sandbox, run.id)
    assert task
    wait_until(lambda: inbox.outputs(f"{STORE}.claim.json"), 120, "its claim", every=0.01)
    halt_once(task, lambda: bool(inbox.outputs(f"{STORE}/")))
    # As Linux does for want of memory: the largest process of the task, and no other.
    flow_process(sandbox, run.id).kill()
    for process in task:
        with suppress(psutil.NoSuchProcess):
            process.resume()

    wait_until(
        lambda: "Crashed" in dict(history(sandbox, run)), 120, "the run to be called crashed"
    )
    assert not any(process.is_running() and not is_zombie(process) for process in task)
    left = inbox.outputs(STORE)
    assert any(key.startswith(f"{STORE}/") for key in left), "it was not in the midst of its work"
    assert not {f"{STORE}/zarr.json", f"{STORE}.manifest.json"} & set(left)
    with pytest.raises(FileNotFoundError):
        open_store(echopype, inbox)

    ended = wait_until(lambda: end_after(sandbox, run), 240, "the second run to end", every=0.5)
    assert (ended.state_name, ended.run_count) == ("Completed", 2)
    why = "exit code 137 (out of memory)"
    assert ("AwaitingRetry", f"{why} on size standard: retried on large") in history(sandbox, run)
    assert sizes_asked_for(sandbox, run) == [("1024", "4096"), ("4096", "30720")]
    manifest = json.loads(
        sandbox.client("s3")
        .get_object(Bucket=sandbox.names.output_bucket, Key=f"{STORE}.manifest.json")["Body"]
        .read()
    )
    assert manifest["source"]["uri"] == inbox.uri(KEY)
    assert manifest["run"]["flow_run_id"] == run.id
    assert manifest["run"]["tier"] == "large"
    assert manifest["run"]["enlarged"] == {"from": "standard", "reason": why}
    assert open_store(echopype, inbox)["Sonar/Beam_group1"].sizes["ping_time"] > 36


def test_a_task_killed_a_second_time_is_crashed_for_good_and_says_what_to_do(
    sandbox: Sandbox, inbox: SandboxInbox, real_data: Path, tmp_path: Path
) -> None:
    key = "crash/twice.raw"
    grown = tmp_path / "twice.raw"
    grow(real_data / "ek60/D20070724-T042400.raw", grown, 5 * GROWN_BYTES)
    inbox.drop(grown, key)
    for start in (1, 2):
        run = wait_until(lambda: running(inbox, key), 120, f"start {start}", every=0.1)
        assert run.run_count == start
        # The whole task at once, as where its host is lost.
        for process in task_processes(sandbox, run.id):
            process.kill()
        wait_until(lambda: not running(inbox, key), 120, "the kill to be reported", every=0.1)
    crashed = wait_until(lambda: given_up(sandbox, run), 60, "the run to be given up")
    assert "on size large, after standard was too small" in crashed.message
    assert sizes_asked_for(sandbox, run) == [("1024", "4096"), ("4096", "30720")]
    assert not inbox.outputs("crash/twice.zarr.manifest.json")


def halt_once(task: list[psutil.Process], has_begun: Callable[[], bool]) -> None:
    """Let the task run slice by slice, and leave it halted once it has begun to publish."""
    for _ in range(1000):
        for process in task:
            process.suspend()
        if has_begun():
            return
        for process in task:
            process.resume()
        time.sleep(SLICE_SECONDS)
    pytest.fail("the task never began to publish")


def running(inbox: SandboxInbox, key: str = KEY) -> FlowRunInfo | None:
    return next((run for run in inbox.runs([key])[key] if run.state_type == "RUNNING"), None)


def history(sandbox: Sandbox, run: FlowRunInfo) -> list[tuple[str, str]]:
    """Name and message of each state that a run has been in."""
    states = sandbox.api.request("GET", f"/flow_run_states/?flow_run_id={run.id}")
    return [(state["name"], state["message"] or "") for state in states]


def sizes_asked_for(sandbox: Sandbox, run: FlowRunInfo) -> list[tuple[str, str]]:
    """CPU and memory of each task that the worker asked ECS for, in their order."""
    ecs, cluster = sandbox.client("ecs"), sandbox.names.cluster
    arns = [
        arn
        for status in ("RUNNING", "STOPPED")
        for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus=status)
        for arn in page["taskArns"]
    ]
    sizes = set()
    for task in ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]:
        if run.id in json.dumps(task["overrides"]["containerOverrides"]):
            sizes.add((task["overrides"]["cpu"], task["overrides"]["memory"]))
    return sorted(sizes)


def end_after(sandbox: Sandbox, run: FlowRunInfo) -> FlowRunInfo | None:
    now = sandbox.api.flow_run(run.id)
    return now if now.is_final and now.run_count > run.run_count else None


def given_up(sandbox: Sandbox, run: FlowRunInfo) -> FlowRunInfo | None:
    now = sandbox.api.flow_run(run.id)
    return now if now.state_type == "CRASHED" and now.message.startswith("exit code") else None


def is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def open_store(echopype: Any, inbox: SandboxInbox) -> Any:
    return echopype.open_converted(inbox.output_uri(STORE), storage_options=inbox.storage_options())

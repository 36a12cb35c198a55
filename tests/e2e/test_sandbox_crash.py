"""A task killed in the midst of its work is known to have crashed, and can be run again."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.grow import grow
from sandbox.inbox import Inbox
from sandbox.prefect_api import FlowRun
from sandbox.system import Sandbox
from sandbox.waiting import wait_until

pytestmark = pytest.mark.xdist_group("sandbox")

KEY = "crash/grown.raw"
STORE = "crash/grown.zarr"
# Large enough that its publication takes many times the slice it may run for
# between two looks at the bucket, however fast the machine.
GROWN_BYTES = 20_000_000
SLICE_SECONDS = 0.02


def test_a_task_killed_while_it_publishes_ends_crashed_and_completes_when_run_again(
    sandbox: Sandbox, inbox: Inbox, real_data: Path, tmp_path: Path
) -> None:
    import echopype  # noqa: PLC0415 - takes seconds, and only some tests need it

    grown = tmp_path / "grown.raw"
    grow(real_data / "ek60/D20070724-T042400.raw", grown, GROWN_BYTES)
    inbox.drop(grown, KEY)
    run = wait_until(lambda: running(inbox), 120, "the run to start", every=0.5)
    task = sandbox.task_processes(run.id)
    assert task
    wait_until(lambda: inbox.outputs(f"{STORE}.claim.json"), 120, "its claim", every=0.01)
    halt_once(task, lambda: bool(inbox.outputs(f"{STORE}/")))
    for process in task:
        process.kill()

    crashed = wait_until(lambda: crash_of(sandbox, run), 30, "the run to be known as crashed")
    assert "exit code" in crashed.message
    assert not any(process.is_running() and not is_zombie(process) for process in task)
    left = inbox.outputs(STORE)
    assert any(key.startswith(f"{STORE}/") for key in left), "it was not in the midst of its work"
    assert not {f"{STORE}/zarr.json", f"{STORE}.manifest.json"} & set(left)
    with pytest.raises(FileNotFoundError):
        open_store(echopype, inbox)

    sandbox.api.run_again(run.id)
    ended = wait_until(lambda: end_after(sandbox, crashed), 240, "the second run to end", every=0.5)
    assert (ended.state_name, ended.run_count) == ("Completed", crashed.run_count + 1)
    manifest = json.loads(
        sandbox.client("s3")
        .get_object(Bucket=sandbox.names.output_bucket, Key=f"{STORE}.manifest.json")["Body"]
        .read()
    )
    assert manifest["source"]["uri"] == inbox.uri(KEY)
    assert open_store(echopype, inbox)["Sonar/Beam_group1"].sizes["ping_time"] > 36


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


def running(inbox: Inbox) -> FlowRun | None:
    return next((run for run in inbox.runs([KEY])[KEY] if run.state_type == "RUNNING"), None)


def crash_of(sandbox: Sandbox, run: FlowRun) -> FlowRun | None:
    now = sandbox.api.flow_run(run.id)
    return now if now.state_type == "CRASHED" else None


def end_after(sandbox: Sandbox, crashed: FlowRun) -> FlowRun | None:
    now = sandbox.api.flow_run(crashed.id)
    return now if now.is_final and now.run_count > crashed.run_count else None


def is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def open_store(echopype: Any, inbox: Inbox) -> Any:
    return echopype.open_converted(inbox.output_uri(STORE), storage_options=inbox.storage_options())

"""`echodrop up` always ends its processes, and only one runs on a folder."""

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from rich.console import Console

from sandbox.parts.environments import aws_environment
from sandbox.parts.orphans import MARK, end_marked_processes, marked_processes, start_watchdog
from sandbox.parts.processes import PartDied
from sandbox.parts.state_folder import StateFolder
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from sandbox.system import TASK_EXECUTOR, Sandbox, SandboxOptions
from sandbox.up import run_up

pytestmark = pytest.mark.xdist_group("sandbox")

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def up(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `echodrop up` on the folder and end all its processes afterwards."""
    test_id = uuid.uuid4().hex
    watchdog = start_watchdog(test_id)
    with (folder.with_suffix(".log")).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "echodrop", "up", "--folder", str(folder)],
            cwd=PROJECT,
            env={**os.environ, MARK: test_id},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        watchdog.communicate()
        if sandbox_id := description(folder).get("sandbox_id"):
            end_marked_processes(sandbox_id)


def description(folder: Path) -> dict[str, Any]:
    return StateFolder(folder).describe_running()


def programs(sandbox_id: str) -> list[str]:
    found = []
    for process in marked_processes(sandbox_id):
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


def test_sigterm_stops_everything_and_sigkill_leaves_nothing_either(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with up(folder) as first:
        running = wait_until(
            lambda: description(folder).get("ui_url") and description(folder), 180, "the system"
        )
        sample = write_sample(tmp_path / "sample.raw", pings=20, seed=9).path
        upload(running, sample)
        wait_until(
            lambda: any(
                "flows.runs.execute_run" in line for line in programs(running["sandbox_id"])
            ),
            120,
            "a task to run",
        )
        first.terminate()
        assert first.wait(60) == 0
        assert programs(running["sandbox_id"]) == []
        assert description(folder) == {}

    with up(folder) as second:
        running = wait_until(
            lambda: description(folder).get("sandbox_id") and description(folder), 60, "the lock"
        )
        wait_until(
            lambda: any("task_executor" in line for line in programs(running["sandbox_id"])),
            60,
            f"the {TASK_EXECUTOR}",
        )
        os.kill(second.pid, signal.SIGKILL)
        wait_until(
            lambda: not programs(running["sandbox_id"]),
            60,
            "all parts to end",
            describe=lambda: str(programs(running["sandbox_id"])),
        )


def upload(running: dict[str, Any], sample: Path) -> None:
    keys = aws_environment(running["aws_endpoint_url"])
    s3 = boto3.session.Session(
        keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name=keys["AWS_REGION"]
    ).client("s3", endpoint_url=running["aws_endpoint_url"])
    s3.upload_file(str(sample), running["inbox_bucket"], "sample.raw")


def test_a_second_up_on_the_folder_reports_the_running_one(sandbox: Sandbox) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    assert run_up(sandbox.state.path, SandboxOptions(), console) == 1
    assert f"already running on {sandbox.state.path}" in shown.getvalue()
    assert sandbox.ui_url in shown.getvalue()
    assert json.loads((sandbox.state.path / "sandbox.json").read_text())["pid"] == os.getpid()
    sandbox.check()


def test_a_part_that_dies_is_named_with_the_end_of_its_log(sandbox: Sandbox) -> None:
    sandbox.kill_part(TASK_EXECUTOR)
    last_line = (sandbox.state.logs / f"{TASK_EXECUTOR}.log").read_text().splitlines()[-1]
    try:
        with pytest.raises(PartDied, match=f"{TASK_EXECUTOR} was ended by SIGKILL") as death:
            wait_until(sandbox.check, 60, "its death")
    finally:
        sandbox.start_part(TASK_EXECUTOR)
    assert str(death.value).endswith(last_line.rstrip())

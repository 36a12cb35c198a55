"""`echodrop up` always ends its processes, and only one runs on a folder."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from rich.console import Console

from sandbox.parts.orphans import MARK, end_marked_processes, marked_processes, start_watchdog
from sandbox.parts.processes import PartDied
from sandbox.parts.state_folder import StateFolder
from sandbox.parts.waiting import wait_until
from sandbox.prefect.prefect_api import SandboxPrefectApi
from sandbox.sea.sample_file import write_sample
from sandbox.start import AWS
from sandbox.system import TASK_EXECUTOR, TRIGGER, Sandbox, SandboxOptions
from sandbox.up import run_up

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


@pytest.mark.xdist_group("sandbox-up")
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
        last, running = (
            running,
            wait_until(
                lambda: description(folder).get("ui_url") and description(folder), 180, "the system"
            ),
        )
        # Ports, objects and runs are there again.
        for address in ("ui_url", "aws_endpoint_url"):
            assert running[address] == last[address]
        s3 = s3_of(running)
        stored = s3.get_object(Bucket=running["inbox_bucket"], Key="sample.raw")["Body"].read()
        assert stored == sample.read_bytes()
        runs = SandboxPrefectApi(running["prefect_api_url"]).flow_runs()
        assert [run.parameters["raw_file"].rpartition("/")[2] for run in runs] == ["sample.raw"]

        # A part that is killed comes back, and after AWS also what uses it.
        for part in (f"{TRIGGER}-1", AWS):
            kill_part(running["sandbox_id"], part)
            wait_until(partial(has_restarted, folder, part), 60, f"the restart of {part}")
        wait_until(
            lambda: {TASK_EXECUTOR, f"{TRIGGER}-1", AWS} <= parts_of(running["sandbox_id"]),
            120,
            "every part",
        )
        assert s3.head_object(Bucket=running["inbox_bucket"], Key="sample.raw")
        os.kill(second.pid, signal.SIGKILL)
        wait_until(
            lambda: not programs(running["sandbox_id"]),
            60,
            "all parts to end",
            describe=lambda: str(programs(running["sandbox_id"])),
        )


def upload(running: dict[str, Any], sample: Path) -> None:
    s3_of(running).upload_file(str(sample), running["inbox_bucket"], "sample.raw")


def s3_of(running: dict[str, Any]) -> Any:
    keys = running["environment"]
    return boto3.session.Session(
        keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name=keys["AWS_REGION"]
    ).client("s3", endpoint_url=keys["AWS_ENDPOINT_URL"])


# The module of each part that a test kills.
_MODULES = {
    TASK_EXECUTOR: "sandbox.aws.task_executor",
    f"{TRIGGER}-1": "sandbox.aws.event_source",
    AWS: "sandbox.aws.aws_server",
}


def has_restarted(folder: Path, part: str) -> bool:
    text = folder.with_suffix(".log").read_text()
    return bool(re.search(rf"Restarted\s+{part}: ", text))


def parts_of(sandbox_id: str) -> set[str]:
    lines = programs(sandbox_id)
    return {part for part, module in _MODULES.items() if any(module in line for line in lines)}


def kill_part(sandbox_id: str, part: str) -> None:
    for process in marked_processes(sandbox_id):
        if _MODULES[part] in process.cmdline():
            process.kill()


@pytest.mark.xdist_group("sandbox")
def test_a_second_up_on_the_folder_reports_the_running_one(sandbox: Sandbox) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    assert run_up(sandbox.state.path, SandboxOptions(), console) == 1
    assert f"already running on {sandbox.state.path}" in shown.getvalue()
    assert sandbox.ui_url in shown.getvalue()
    assert json.loads((sandbox.state.path / "sandbox.json").read_text())["pid"] == os.getpid()
    sandbox.check()


@pytest.mark.xdist_group("sandbox")
def test_a_part_that_dies_is_named_with_the_end_of_its_log(sandbox: Sandbox) -> None:
    pid = sandbox.parts[TASK_EXECUTOR].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    last_line = (sandbox.state.logs / f"{TASK_EXECUTOR}.log").read_text().splitlines()[-1]
    try:
        with pytest.raises(PartDied, match=f"{TASK_EXECUTOR} was ended by SIGKILL") as death:
            wait_until(sandbox.check, 60, "its death")
    finally:
        sandbox.start_part(TASK_EXECUTOR)
    assert str(death.value).endswith(last_line.rstrip())

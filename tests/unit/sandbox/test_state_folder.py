"""One sandbox runs per folder, and it deletes the state of the one before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.parts.state_folder import AlreadyRunning, StateFolder

PROJECT = Path(__file__).resolve().parents[3]


def test_the_error_of_a_second_sandbox_on_the_folder_names_the_running_process(
    tmp_path: Path,
) -> None:
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.acquire()
    first.write_description({"pid": os.getpid(), "ui_url": "http://127.0.0.1:4200"})
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}.*4200"):
        second.acquire(within=0)
    first.release()
    second.acquire(within=0)
    second.release()


def test_the_state_of_a_killed_sandbox_does_not_block_the_next_one(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from sandbox.parts.state_folder import StateFolder\n"
        "StateFolder(Path(sys.argv[1])).acquire()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT, check=False)
    folder = StateFolder(tmp_path)
    assert folder.describe_running()["pid"] != os.getpid()
    folder.acquire(within=0)
    assert folder.describe_running() == {"pid": os.getpid()}
    folder.release()
    assert folder.describe_running() == {}


def test_runs_and_logs_of_an_earlier_sandbox_are_deleted(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.acquire()
    for old in (folder.prefect_home / "prefect.db", folder.logs / "aws.log"):
        old.write_text("old")
    kept = folder.path / "output"
    kept.mkdir()
    folder.release()
    folder.acquire()
    assert list(folder.prefect_home.iterdir()) == []
    assert list(folder.logs.iterdir()) == []
    assert kept.is_dir()
    folder.release()

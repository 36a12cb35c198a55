"""A task's processes end with its first process, as in a container."""

import subprocess
import sys
from pathlib import Path

from sandbox.aws.task_executor import _end_container
from sandbox.parts.environments import container_environment


def test_processes_of_an_ended_task_are_killed_and_those_of_another_task_are_not(
    tmp_path: Path,
) -> None:
    def start(folder: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
            env={**container_environment(), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            # As the task starts the flow's process.
            start_new_session=True,
        )

    ours, another = start(tmp_path / "ours"), start(tmp_path / "another")
    try:
        for process in (ours, another):
            assert process.stdout
            process.stdout.readline()
        _end_container(tmp_path / "ours")
        assert ours.wait(10) == -9
        assert another.poll() is None
    finally:
        for process in (ours, another):
            process.kill()
            process.communicate()

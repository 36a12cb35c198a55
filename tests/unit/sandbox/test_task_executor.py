"""A task's processes end with its first one, as a container's do."""

import subprocess
import sys
from pathlib import Path

from sandbox.environments import container_environment
from sandbox.task_executor import _end_container


def test_what_a_task_started_ends_with_it_and_another_task_s_does_not(tmp_path: Path) -> None:
    def start(folder: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
            env={**container_environment(), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            # As the flow's own process is started.
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

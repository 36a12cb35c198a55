"""Processes with a sandbox's id end with the sandbox."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from sandbox.parts.orphans import MARK, end_marked_processes, marked_processes, start_watchdog
from sandbox.parts.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[3]


def sleeper(
    sandbox_id: str, script: str = "import time; time.sleep(60)"
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, MARK: sandbox_id},
        start_new_session=True,
    )


def test_only_processes_of_this_sandbox_are_ended() -> None:
    ours, theirs = uuid.uuid4().hex, uuid.uuid4().hex
    mine, other = sleeper(ours), sleeper(theirs)
    try:
        wait_until(lambda: marked_processes(ours), 60, "the process")
        assert end_marked_processes(ours, grace_seconds=2) == [mine.pid]
        assert mine.wait(5) == -signal.SIGTERM
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    assert marked_processes(ours) == []


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    sandbox_id = uuid.uuid4().hex
    deaf = sleeper(
        sandbox_id,
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('deaf', flush=True); time.sleep(60)",
    )
    wait_until(lambda: marked_processes(sandbox_id), 60, "the process")
    end_marked_processes(sandbox_id, grace_seconds=0.5)
    assert deaf.wait(5) in {-signal.SIGKILL, -signal.SIGTERM}


def test_when_the_holder_is_killed_the_watchdog_ends_grandchildren_in_other_sessions() -> None:
    sandbox_id = uuid.uuid4().hex
    # Starts the watchdog, and a child that starts a grandchild in another session.
    script = (
        "import os, subprocess, sys, time\n"
        "from sandbox.parts.orphans import MARK, start_watchdog\n"
        "mark = sys.argv[1]\n"
        "watchdog = start_watchdog(mark)\n"
        "child = 'import subprocess, time; "
        'subprocess.Popen(["sleep", "60"], start_new_session=True); time.sleep(60)\'\n'
        "subprocess.Popen([sys.executable, '-c', child], env={**os.environ, MARK: mark})\n"
        "time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, sandbox_id], cwd=PROJECT)
    wait_until(lambda: len(marked_processes(sandbox_id)) == 2, 60, "child and grandchild")
    holder.kill()
    holder.wait()
    wait_until(lambda: not marked_processes(sandbox_id), 60, "their end")


def test_the_watchdog_exits_when_the_pipe_closes_and_no_process_is_left() -> None:
    watchdog = start_watchdog(uuid.uuid4().hex)
    assert watchdog.stdin is not None
    watchdog.stdin.close()
    assert watchdog.wait(10) == 0

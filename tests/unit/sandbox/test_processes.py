"""A part starts, becomes ready, is reported if it exits, and stops with its children."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from sandbox.parts.processes import Part, PartDied, PartNotReady
from sandbox.parts.waiting import wait_until


def part(tmp_path: Path, script: str, **more: object) -> Part:
    made = Part("piper", [sys.executable, "-c", script], dict(os.environ), tmp_path / "piper.log")
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_error_of_a_part_that_exits_has_its_exit_code_and_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    piper = part(tmp_path, "print(*range(100), sep='\\n'); print('no reed'); raise SystemExit(3)")
    piper.start()
    with pytest.raises(PartDied, match="piper ended with exit code 3") as died:
        wait_until(piper.check, 60, "its death")
    assert died.value.exit_code == 3
    assert died.value.log_end.splitlines()[-1] == "no reed"
    assert len(died.value.log_end.splitlines()) == 25


def test_the_error_of_a_part_ended_by_a_signal_names_the_signal(tmp_path: Path) -> None:
    piper = part(tmp_path, "import time; time.sleep(60)")
    piper.start()
    assert piper.pid is not None
    os.kill(piper.pid, signal.SIGKILL)
    with pytest.raises(PartDied, match="was ended by SIGKILL"):
        wait_until(piper.check, 60, "its death")


def test_a_stopped_part_raises_no_error(tmp_path: Path) -> None:
    piper = part(tmp_path, "import time; time.sleep(60)")
    piper.start()
    piper.stop()
    piper.check()
    assert not piper.is_running


def test_a_part_is_ready_when_its_probe_returns_true(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    piper = part(
        tmp_path,
        f"import time, pathlib; pathlib.Path({str(ready)!r}).touch(); time.sleep(60)",
        is_ready=ready.exists,
    )
    piper.start()
    try:
        wait_until(piper.poll_ready, 60, "readiness")
        assert piper.start_seconds is not None
    finally:
        piper.stop()


def test_a_part_can_be_ready_by_a_log_line_and_again_after_a_restart(
    tmp_path: Path,
) -> None:
    script = "import time; print('tuned', flush=True); time.sleep(60)"
    piper = part(tmp_path, script, is_ready="tuned")
    for _ in range(2):
        piper.start()
        assert not piper.poll_ready()
        wait_until(piper.poll_ready, 60, "readiness")
        piper.stop()


def test_the_error_of_a_part_that_is_never_ready_has_its_log(tmp_path: Path) -> None:
    piper = part(
        tmp_path,
        "import time; print('tuning', flush=True); time.sleep(60)",
        is_ready=lambda: False,
        ready_within=0.5,
    )
    piper.start()
    try:
        with pytest.raises(PartNotReady, match="tuning"):
            wait_until(piper.poll_ready, 60, "readiness")
    finally:
        piper.stop()


def test_a_part_that_ignores_the_stop_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = (
        "import signal, subprocess, sys, time, pathlib\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "started = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(started.pid))\n"
        "time.sleep(60)"
    )
    piper = part(tmp_path, script, stop_within=0.3)
    piper.start()
    pid = int(wait_until(lambda: child.exists() and child.read_text(), 60, "the child"))
    started = psutil.Process(pid)
    piper.stop()
    wait_until(lambda: not alive(started), 60, "the child's end")


def test_a_part_handles_sigint_even_if_its_parent_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        piper = part(
            tmp_path,
            "import time; print('on', flush=True); time.sleep(60)",
            stop_signal=signal.SIGINT,
            stop_within=20.0,
        )
        piper.start()
        wait_until(lambda: "on" in piper.log_end(), 60, "its start")
        begun = time.monotonic()
        piper.stop()
    finally:
        signal.signal(signal.SIGINT, before)
    # A kill would only follow after `stop_within`.
    assert time.monotonic() - begun < 15


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

"""Ends all processes of a sandbox when the sandbox ends, even by SIGKILL.

Every process of a sandbox and its children have the sandbox's id in their
environment. A watchdog reads from a pipe that only the sandbox has open for writing.
When the sandbox ends, the pipe closes, and the watchdog ends all processes with the id.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

MARK = "ECHODROP_SANDBOX_ID"


def marked_processes(sandbox_id: str) -> list[psutil.Process]:
    """List the running processes with this sandbox's id, except this process."""
    marked = []
    for process in psutil.process_iter():
        # Otherwise the process has ended or belongs to another user.
        with contextlib.suppress(psutil.Error, OSError):
            is_marked = process.environ().get(MARK) == sandbox_id and process.pid != os.getpid()
            if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                marked.append(process)
    return marked


def end_marked_processes(sandbox_id: str, grace_seconds: float = 3.0) -> list[int]:
    """Send SIGTERM to the processes with the sandbox's id, then SIGKILL after the grace.

    Repeats until no process is left, because an ending process may start another.
    Returns the ids of the processes.
    """
    found: list[int] = []
    number = signal.SIGTERM
    while processes := marked_processes(sandbox_id):
        found.extend(process.pid for process in processes)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        end = time.monotonic() + grace_seconds
        while marked_processes(sandbox_id) and time.monotonic() < end:
            time.sleep(0.05)
        number = signal.SIGKILL
    return found


def start_watchdog(sandbox_id: str, keep_open: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
    """Start the watchdog. It acts when its `stdin` closes.

    It keeps the file descriptors `keep_open` until it exits, such as the sandbox's lock.
    """
    return subprocess.Popen(  # noqa: S603 - this module itself
        [sys.executable, "-m", "sandbox.parts.orphans", sandbox_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=tuple(keep_open),
        # In its own session, Ctrl-C and a closed terminal do not reach it.
        start_new_session=True,
    )


def main() -> None:
    """Wait until stdin closes, then end the processes (`python -m sandbox.parts.orphans ID`)."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while sys.stdin.buffer.read(4096):
        pass
    end_marked_processes(sys.argv[1])


if __name__ == "__main__":
    main()

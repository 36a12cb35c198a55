"""No process outlives its sandbox, however the sandbox ends.

Every process of a sandbox, and whatever it starts in turn, carries the
sandbox's id in its environment. A watchdog holds the reading end of a pipe
whose other end only the sandbox holds: when the sandbox is gone, killed with
SIGKILL included, the pipe closes and the watchdog ends all that carry the id.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

import psutil

MARK = "ECHODROP_SANDBOX_ID"


def marked_processes(sandbox_id: str) -> list[psutil.Process]:
    """List the living processes that carry this sandbox's id, this process aside."""
    marked = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if (
                process.environ().get(MARK) == sandbox_id
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                marked.append(process)
        except (psutil.Error, OSError):
            # Ended meanwhile, or another user's: not one of ours either way.
            continue
    return marked


def end_marked_processes(sandbox_id: str, grace_seconds: float = 3.0) -> list[int]:
    """End what carries the sandbox's id: SIGTERM, and after the grace SIGKILL.

    Returns the process ids that were found. Repeats until none is found, as a
    process being ended may have started another.
    """
    found: list[int] = []
    number = signal.SIGTERM
    while processes := marked_processes(sandbox_id):
        found.extend(process.pid for process in processes)
        for process in processes:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        end = time.monotonic() + grace_seconds
        while marked_processes(sandbox_id) and time.monotonic() < end:
            time.sleep(0.05)
        number = signal.SIGKILL
    return found


def start_watchdog(sandbox_id: str, keep_open: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
    """Start the watchdog; closing its `stdin` (or dying) sets it off.

    Args:
        sandbox_id: the mark to look for.
        keep_open: file descriptors the watchdog holds until it is done, such as
            the sandbox's lock.
    """
    return subprocess.Popen(  # noqa: S603 - this module itself
        [sys.executable, "-m", "sandbox.orphans", sandbox_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=tuple(keep_open),
        # Its own session: neither Ctrl-C nor a closed terminal reaches it.
        start_new_session=True,
    )


def watch(pipe: IO[bytes], sandbox_id: str) -> None:
    """Wait for the pipe to close, then end the sandbox's processes."""
    while pipe.read(4096):
        pass
    end_marked_processes(sandbox_id)


def main() -> None:
    """Run the watchdog (`python -m sandbox.orphans ID`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sandbox_id")
    arguments = parser.parse_args()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watch(sys.stdin.buffer, arguments.sandbox_id)


if __name__ == "__main__":
    main()

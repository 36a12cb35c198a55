"""A part of the sandbox: a server or loop that runs as its own process."""

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOG_LINES_SHOWN = 25


class SandboxError(Exception):
    """The sandbox cannot start or continue; the message explains why."""


class PartDied(SandboxError):  # noqa: N818 - the name says what happened
    """A part exited unexpectedly; the exit code is negative if a signal ended it."""

    def __init__(self, part: str, exit_code: int, log: Path, log_end: str) -> None:
        self.exit_code, self.log_end = exit_code, log_end
        how = (
            f"was ended by {signal.Signals(-exit_code).name}"
            if exit_code < 0
            else f"ended with exit code {exit_code}"
        )
        super().__init__(f"{part} {how}; the end of {log}:\n{log_end}")


class PartNotReady(SandboxError):  # noqa: N818 - the name says what happened
    """A part is running but did not become ready in time."""

    def __init__(self, part: str, seconds: float, log: Path, log_end: str) -> None:
        super().__init__(
            f"{part} was not ready after {seconds:.0f} s; the end of {log}:\n{log_end}"
        )


def _default_interrupt() -> None:
    # A shell ignores SIGINT for jobs started with `&`, and children inherit that.
    # Servers that convert SIGTERM to SIGINT would then never stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Part:
    """A process with a log file and a readiness probe.

    Attributes:
        is_ready: a function that returns whether the part is ready and does not
            raise; or text in its log that means ready (by default always ready).
        ready_within: seconds it may take to become ready.
        stop_within: seconds it may take to stop before it is killed.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    is_ready: Callable[[], bool] | str = ""
    ready_within: float = 180.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 10.0
    start_seconds: float | None = field(default=None, init=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)
    _log_start: int = field(default=0, init=False)

    @property
    def pid(self) -> int | None:
        """Its process id, or None if it was not started or was stopped."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether its process is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; `poll_ready` returns whether it is ready."""
        if self.is_running:
            raise RuntimeError(f"{self.name} is already running")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._started_at = time.monotonic()
        self.start_seconds = None
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the sandbox's own programs
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # In its own session the part does not receive Ctrl-C. The sandbox
                # does, and stops its parts in order.
                start_new_session=True,
                preexec_fn=_default_interrupt,  # noqa: PLW1509 - parts start from one thread
            )

    def check(self) -> None:
        """Raise PartDied if the process was started and has exited."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise PartDied(self.name, code, self.log, self.log_end())

    def poll_ready(self) -> bool:
        """Return whether it is ready, and record how long that took.

        Raises:
            PartDied: it exited.
            PartNotReady: it took longer than `ready_within`.
        """
        if self.start_seconds is not None:
            return True
        self.check()
        elapsed = time.monotonic() - self._started_at
        if self._has_logged(self.is_ready) if isinstance(self.is_ready, str) else self.is_ready():
            self.start_seconds = elapsed
            return True
        if elapsed > self.ready_within:
            raise PartNotReady(self.name, self.ready_within, self.log, self.log_end())
        return False

    def request_stop(self) -> None:
        """Send the stop signal, without waiting."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.stop_signal)

    def wait_stopped(self) -> None:
        """Wait for the process to exit; kill it if it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(self.stop_within)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def stop(self) -> None:
        """Stop the process and wait until it has exited."""
        self.request_stop()
        self.wait_stopped()

    def kill(self) -> None:
        """Send SIGKILL to the process group and wait until the process has exited."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def log_end(self) -> str:
        """Return the last lines of its output."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as text:
                return "".join(deque(text, maxlen=LOG_LINES_SHOWN)).rstrip()
        except FileNotFoundError:
            return "(no output)"

    def _has_logged(self, text: str) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return text.encode() in log.read()

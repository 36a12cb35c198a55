"""The one folder a sandbox keeps its state in, and the lock that makes it the only one there."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.postgresql import remove_cluster

DEFAULT = Path(".echodrop")


class AlreadyRunning(SandboxError):  # noqa: N818 - the name says what happened
    """Another sandbox runs on this folder.

    Attributes:
        folder: the folder.
        pid: the other's process id, when it said so.
        ui_url: the address of its Prefect UI, when it is up.
    """

    def __init__(self, folder: Path, pid: int | None, ui_url: str | None) -> None:
        self.folder, self.pid, self.ui_url = folder, pid, ui_url
        who = f" (process {pid})" if pid else ""
        where = f"; its UI is at {ui_url}" if ui_url else ""
        super().__init__(f"a sandbox runs on {folder} already{who}{where}")


class StateFolder:
    """Paths under the folder, its lock, and the description of what runs in it.

    The lock is the system's own (flock): it goes when the last process that
    holds it goes, so there are no stale ones.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.task_logs = self.logs / "tasks"
        self.tasks = self.path / "tasks"
        self.prefect_home = self.path / "prefect"
        self.postgresql = self.path / "postgresql"
        self._lock_path = self.path / "lock"
        self._description = self.path / "sandbox.json"
        self._lock: int | None = None

    @property
    def lock_descriptor(self) -> int:
        """The open lock, for the watchdog to hold as well."""
        if self._lock is None:
            raise RuntimeError("the folder is not locked")
        return self._lock

    def acquire(self, within: float = 5.0) -> None:
        """Lock the folder, and clear what an earlier sandbox left in it.

        Nothing is carried over: the buckets live in moto's memory, and runs that
        Prefect remembers for objects that are gone would keep the same files
        from being converted again.

        Args:
            within: seconds to wait for a sandbox that is just ending.

        Raises:
            AlreadyRunning: another sandbox holds the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        end = time.monotonic() + within
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end or self._holder_lives():
                    os.close(lock)
                    running = self.describe_running()
                    raise AlreadyRunning(
                        self.path, running.get("pid"), running.get("ui_url")
                    ) from None
            time.sleep(0.1)
        self._lock = lock
        self._clear()
        self.write_description({"pid": os.getpid()})

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._description.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def write_description(self, description: dict[str, Any]) -> None:
        """Say what runs here: process id, addresses, bucket names."""
        # Replaced as a whole, so that nobody reads half of it.
        draft = self._description.with_suffix(".new")
        draft.write_text(json.dumps(description, indent=2) + "\n")
        draft.replace(self._description)

    def describe_running(self) -> dict[str, Any]:
        """Return what the sandbox on this folder wrote; empty when none runs."""
        try:
            description: dict[str, Any] = json.loads(self._description.read_text())
        except FileNotFoundError:
            return {}
        return description

    def _holder_lives(self) -> bool:
        pid = self.describe_running().get("pid")
        return pid is not None and Path(f"/proc/{pid}").exists()

    def _clear(self) -> None:
        self._description.unlink(missing_ok=True)
        remove_cluster(self.postgresql)
        for folder in (self.logs, self.tasks, self.prefect_home):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

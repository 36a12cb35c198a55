"""The folder with a sandbox's state, and the lock that allows one sandbox per folder."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from operations.clients.stack_settings import LOCAL
from sandbox.parts.ports import free_port, is_free
from sandbox.parts.postgresql import remove_cluster
from sandbox.parts.processes import SandboxError

DEFAULT = Path(".echodrop")
# The folder of `echodrop up`, where the operator's commands look for it.
UP = LOCAL


class AlreadyRunning(SandboxError):  # noqa: N818 - the name says what happened
    """Another sandbox is running on this folder; its process id and the address of its UI, if known."""

    def __init__(self, folder: Path, pid: int | None, ui_url: str | None) -> None:
        self.folder, self.pid, self.ui_url = folder, pid, ui_url
        who = f" (process {pid})" if pid else ""
        where = f"; its UI is at {ui_url}" if ui_url else ""
        super().__init__(f"a sandbox is already running on {folder}{who}{where}")


class StateFolder:
    """Paths in the folder, its lock, and the description of the running sandbox.

    The lock is flock's. The system releases it when the last process that holds it
    exits, so it is never stale.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.task_logs = self.logs / "tasks"
        self.tasks = self.path / "tasks"
        self.prefect_home = self.path / "prefect"
        self.postgresql = self.path / "postgresql"
        self.objects = self.path / "objects"
        self._ports_path = self.path / "ports.json"
        self._ports: dict[str, int] = {}
        self._lock_path = self.path / "lock"
        self._description = self.path / "sandbox.json"
        self._lock: int | None = None

    @property
    def lock_descriptor(self) -> int:
        """The file descriptor of the lock, which the watchdog holds too."""
        if self._lock is None:
            raise RuntimeError("the folder is not locked")
        return self._lock

    def port(self, name: str) -> int:
        """Return the port that this server had in the last start, if it is free; else a free one."""
        try:
            last = json.loads(self._ports_path.read_text()).get(name)
        except FileNotFoundError:
            last = None
        self._ports[name] = last if last and is_free(last) else free_port()
        return self._ports[name]

    def acquire(self, within: float = 5.0, *, keep: bool = False) -> None:
        """Lock the folder and delete the state of an earlier sandbox.

        It waits `within` seconds for a sandbox that is stopping. `keep` keeps its objects and
        Prefect's runs; one goes with the other: if Prefect still had runs of deleted objects, it
        would not convert the same files again.

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
                if time.monotonic() > end or self._holder_is_running():
                    os.close(lock)
                    running = self.describe_running()
                    raise AlreadyRunning(
                        self.path, running.get("pid"), running.get("ui_url")
                    ) from None
            time.sleep(0.1)
        self._lock = lock
        self._clear(keep=keep)
        self._ports_path.write_text(json.dumps(self._ports))
        self.write_description({"pid": os.getpid()})

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._description.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def write_description(self, description: dict[str, Any]) -> None:
        """Write the description: process id, addresses, bucket names."""
        # Replaced atomically, so that nobody reads an incomplete file.
        draft = self._description.with_suffix(".new")
        draft.write_text(json.dumps(description, indent=2) + "\n")
        draft.replace(self._description)

    def describe_running(self) -> dict[str, Any]:
        """Return the running sandbox's description, or an empty dict."""
        try:
            description: dict[str, Any] = json.loads(self._description.read_text())
        except FileNotFoundError:
            return {}
        return description

    def _holder_is_running(self) -> bool:
        pid = self.describe_running().get("pid")
        return pid is not None and Path(f"/proc/{pid}").exists()

    def _clear(self, *, keep: bool) -> None:
        self._description.unlink(missing_ok=True)
        remove_cluster(self.postgresql)
        kept = (self.prefect_home, self.objects)
        for folder in (self.logs, self.tasks, *(() if keep else kept)):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.logs, self.tasks, *kept):
            folder.mkdir(exist_ok=True)

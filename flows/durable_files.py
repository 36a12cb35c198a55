"""Files and folders that survive a crash: written beside their name, synced, and renamed."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path


class StoreFolder:
    """The objects of a store as files below a folder; on the disk once `sync` has returned."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: set[Path] = set()

    def write(self, key: str, body: bytes) -> None:
        """Write one object by its relative key."""
        path = self._root / key
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        write_synced(path, body)

    def sync(self) -> None:
        """Bring the folders' names to the disk."""
        for folder in self._folders | {self._root}:
            sync_folder(folder)


def write_synced(path: Path, body: bytes) -> None:
    """Write a file; it is on the disk then."""
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def swap(new: Path, final: Path) -> None:
    """Rename into place. A folder cannot be renamed over another: the old one steps aside."""
    if not final.is_dir():
        new.replace(final)
        return
    aside = partial(final)
    final.replace(aside)
    new.replace(final)
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; neither has to be there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def partial(final: Path) -> Path:
    """A name of its own beside the output, with the output's suffix."""
    return final.with_name(f".partial-{uuid.uuid4().hex}-{final.name}")

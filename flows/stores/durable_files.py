"""Durable files and folders: written to a temporary name, synced, and renamed."""

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
        """Flush the folders' entries to the disk."""
        for folder in self._folders | {self._root}:
            sync_folder(folder)


def write_synced(path: Path, body: bytes) -> None:
    """Write a file and flush it to the disk."""
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def swap(new: Path, final: Path) -> None:
    """Rename into place. A folder cannot replace another, so the old one is renamed first."""
    if not final.is_dir():
        new.replace(final)
        return
    aside = partial(final)
    final.replace(aside)
    new.replace(final)
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its contents, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def partial(final: Path) -> Path:
    """A unique name next to the output, with the output's suffix."""
    return final.with_name(f".partial-{uuid.uuid4().hex}-{final.name}")

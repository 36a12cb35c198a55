"""The checkpoint file of a backfill, from which an interrupted backfill resumes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.stores.durable_files import partial, write_synced

FOLDER = Path(".echodrop/backfill")


class CheckpointError(ValueError):
    """The file is not the checkpoint of this backfill."""


@dataclass
class Checkpoint:
    """What a backfill has sent, and the `place` to resume at, '' at the beginning.

    `content` is what `place` refers to, see `archive_items`; `bytes` are known sizes. Uploads are counted by the
    reason why the rules ignore (`left_out`) or reject (`refused`) them, or they need no conversion.
    """

    path: Path
    archive: str
    queue_url: str
    content: str = ""
    place: str = ""
    sent: int = 0
    messages: int = 0
    bytes: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    ended: bool = False

    def save(self) -> None:
        """Write the file atomically."""
        values = {name: value for name, value in vars(self).items() if name != "path"}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = partial(self.path)
        write_synced(beside, json.dumps(values).encode())
        beside.replace(self.path)


def default_place(archive: str, queue_url: str) -> Path:
    """The default file for an archive and a queue, below `.echodrop/backfill`."""
    named = hashlib.sha256(json.dumps([archive, queue_url]).encode()).hexdigest()[:16]
    return FOLDER / f"{named}.json"


def checkpoint_of(
    archive: str, queue_url: str, place: Path, *, content: str | None = ""
) -> Checkpoint:
    """Read the checkpoint of a backfill, or make a new one if the file does not exist.

    `content` is the archive's content now, see `archive_items`; None skips the comparison.

    Raises:
        CheckpointError: the file is not a checkpoint, belongs to another backfill, or the
            archive has changed since, so that its places are no longer valid.
        OSError: the file can't be read.
    """
    new = Checkpoint(place, archive, queue_url, content or "")
    if not place.exists():
        return new
    try:
        values: dict[str, Any] = json.loads(place.read_text())
        for name in ("left_out", "refused", "skipped"):
            values[name] = Counter(values[name])
        found = Checkpoint(place, **values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{place} is not the checkpoint of a backfill: {error!r}") from error
    if (found.archive, found.queue_url) != (archive, queue_url):
        raise CheckpointError(f"{place} is the checkpoint of {found.archive} to {found.queue_url}")
    if content is not None and found.content != content:
        raise CheckpointError(
            f"{archive} has changed since {place} was written, so the checkpoint does not say"
            " what was sent; --restart begins again, and converts nothing twice"
        )
    return found

"""How far a backfill has come, in a file: a killed one goes on there."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

FOLDER = Path(".echodrop/backfill")


class CheckpointError(ValueError):
    """The file is of another backfill, or of none."""


@dataclass
class Checkpoint:
    """What was sent of an archive, and the `place` behind it.

    Attributes:
        path: the file.
        archive: as it was named.
        queue_url: where it is sent.
        content: see `archive_items`; of the archive that `place` is a place in.
        place: see `archive_items`; '' at the beginning.
        sent: uploads told of.
        messages: that told of them.
        bytes: theirs, as far as known.
        left_out: uploads by the reason that the rules have to leave them out.
        refused: uploads by the reason that the rules have to refuse them.
        ended: whether the archive's end was reached.
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
    ended: bool = False

    def save(self) -> None:
        """Write the file, whole or not at all."""
        told = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "path"}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with beside.open("w") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def default_place(archive: str, queue_url: str) -> Path:
    """The file below `.echodrop/backfill` that archive and queue name."""
    named = hashlib.sha256(json.dumps([archive, queue_url]).encode()).hexdigest()[:16]
    return FOLDER / f"{named}.json"


def checkpoint_of(
    archive: str, queue_url: str, place: Path, *, content: str | None = ""
) -> Checkpoint:
    """Read the checkpoint of a backfill; a new one where there is none.

    Args:
        archive: as it is named.
        queue_url: where it is sent.
        place: the file.
        content: what the archive holds now, see `archive_items`; None where that is all one.

    Raises:
        CheckpointError: the file is of another backfill, the archive has changed
            so that a place in it means nothing any more, or it can't be read.
        OSError: likewise.
    """
    new = Checkpoint(place, archive, queue_url, content or "")
    if not place.exists():
        return new
    try:
        told: dict[str, Any] = json.loads(place.read_text())
        for name in ("left_out", "refused"):
            told[name] = Counter(told[name])
        found = Checkpoint(place, **told)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{place} is no checkpoint of a backfill: {error!r}") from error
    if (found.archive, found.queue_url) != (archive, queue_url):
        raise CheckpointError(f"{place} is the checkpoint of {found.archive} to {found.queue_url}")
    if content is not None and found.content != content:
        raise CheckpointError(
            f"{archive} is another list than the one that {place} was written of: what is sent of it"
            " is not known; --anew begins again, and doubles nothing"
        )
    return found

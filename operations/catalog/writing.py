"""Writes the catalogue below `catalog/`: only files that changed, and the state last.

Two writers may run at once. The state is replaced on the condition that it is the one that was
loaded; the writer that loses reads again. It then finds each file that the other wrote by its entity tag,
so that in the end all files are those of the newest reading.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata

from operations.catalog.facts import comma_separated, json_bytes, parquet
from operations.catalog.places import ChangedMeanwhileError, Place
from operations.catalog.reading import (
    FOLDER,
    STATE,
    CatalogState,
    Reading,
    load_state,
    read_changes,
)
from operations.catalog.stac import documents
from operations.clients.parallel import Progress, in_parallel

GALLERY = f"{FOLDER}gallery.json"
GALLERY_VERSION = 1
ATTEMPTS = 5

# Below the folder, outputs of a cruise named 'catalog' may be, too.
_OURS = re.compile(r"catalog/cruises/(?:.*/)?(?:collection|[^/]+\.(?:zarr|nc))\.json", re.DOTALL)
_NOT_FOR_THE_PAGE = {"etag", "channel_ids", "frequencies", "dimensions"}


@dataclass(frozen=True)
class CatalogUpdate:
    """What an update did, or would do.

    `outputs` and `failed` count what the catalogue has, `read` and `gone` those of them that are new
    or changed, and that were removed; `unreadable` says by path why manifests and reports are left
    out; `written` and `removed` count its files that changed.
    """

    outputs: int
    failed: int
    read: int
    gone: int
    unreadable: dict[str, str]
    written: int = 0
    removed: int = 0


def update_catalog(
    place: Place,
    *,
    dry_run: bool = False,
    progress: Progress = lambda _what, _done, _total: None,
) -> CatalogUpdate:
    """Bring the catalogue of an output bucket or folder up to date.

    Raises:
        ChangedMeanwhileError: other writers were faster, five times in succession.
        ClientError, OSError: the place can't be read or written.
    """
    for left in reversed(range(ATTEMPTS)):
        # The state before the listing: what the state has was there before.
        state = load_state(place)
        reading = read_changes(place, state, progress)
        try:
            return _write(place, state, reading, dry_run=dry_run, progress=progress)
        except ChangedMeanwhileError:
            if not left:
                raise
    raise AssertionError


def _write(
    place: Place, state: CatalogState, reading: Reading, *, dry_run: bool, progress: Progress
) -> CatalogUpdate:
    gone = {path for path in reading.listing if _OURS.fullmatch(path)}
    known_now = (len(state.outputs), len(state.failed))
    update = CatalogUpdate(*known_now, reading.read, reading.removed, reading.unreadable)
    if not reading.changed and _is_whole(state, reading.listing, gone):
        return update
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    known, changed, stale = state.written, 0, dict(state.written)
    state.written = {}

    def changes() -> Iterator[tuple[str, bytes, str, str]]:
        for path, kind, body in _files(state, place.uri):
            gone.discard(path)
            digest = hashlib.blake2b(body, digest_size=12).hexdigest()
            if stale.pop(path, None) == [digest, reading.listing.get(path)]:
                state.written[path] = known[path]
            else:
                yield path, body, kind, digest

    def put(change: tuple[str, bytes, str, str]) -> tuple[str, str, str]:
        path, body, kind, digest = change
        if path == GALLERY:
            body = with_time(body, now)
        return path, digest, "" if dry_run else place.write(path, body, kind)

    for path, digest, etag in in_parallel(put, changes()):
        state.written[path] = [digest, etag]
        changed += 1
        progress("writing the catalogue", changed, None)
    if not dry_run and (changed or gone or stale or not state.version):
        place.delete(sorted(gone))
        state.made_at, state.software = now, metadata.version("echodrop")
        place.write(STATE, state.as_bytes(), "application/gzip", replaces=state.version)
    return replace(update, written=changed, removed=len(gone))


def _is_whole(state: CatalogState, listing: Mapping[str, str], ours: set[str]) -> bool:
    """Whether this version of echodrop wrote the catalogue, and all of it is as it was written."""
    return (
        state.software == metadata.version("echodrop")
        and ours <= state.written.keys()
        and all(listing.get(path) == etag for path, (_, etag) in state.written.items())
    )


def _files(state: CatalogState, uri: str) -> Iterator[tuple[str, str, bytes]]:
    """Each file of the catalogue: path, media type, content."""
    outputs = [state.outputs[key] for key in sorted(state.outputs)]
    for path, document in documents(outputs, uri):
        kind = "application/geo+json" if document["type"] == "Feature" else "application/json"
        yield path, kind, json_bytes(document)
    yield f"{FOLDER}outputs.parquet", "application/vnd.apache.parquet", parquet(outputs)
    yield f"{FOLDER}outputs.csv", "text/csv; charset=utf-8", comma_separated(outputs)
    yield GALLERY, "application/json", gallery_bytes(state)


def gallery_bytes(state: CatalogState) -> bytes:
    """What the page reads: all outputs and failed uploads, without the time."""
    outputs = [
        {name: value for name, value in facts.items() if name not in _NOT_FOR_THE_PAGE}
        for _, facts in sorted(state.outputs.items())
    ]
    failed = [
        {name: value for name, value in facts.items() if name != "etag"}
        for _, facts in sorted(state.failed.items())
    ]
    return json_bytes({"gallery_version": GALLERY_VERSION, "outputs": outputs, "failed": failed})


def with_time(gallery: bytes, made_at: str) -> bytes:
    """Add the time, which is not compared."""
    return b'{"made_at":' + json.dumps(made_at).encode() + b"," + gallery[1:]

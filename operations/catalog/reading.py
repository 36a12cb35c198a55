"""Reads outputs incrementally: the listing shows what is new, and only that is read.

The listing does not descend into Zarr stores, so an output costs a few names, however many objects
it has. Products are known from their names, and count if they are not older than the manifest; a viewer store
needs its record `.products.json`, which is removed before products are replaced and written last.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from dataclasses import dataclass, field
from typing import Any

from flows.core.locations import (
    FAILURE_SUFFIX,
    MANIFEST_SUFFIX,
    PICTURE_SUFFIX,
    PRODUCTS_SUFFIX,
    THUMBNAIL_SUFFIX,
    VIEWER_SUFFIX,
)
from operations.catalog.facts import Facts, FactsUnreadableError, failure_facts, output_facts
from operations.catalog.places import FolderListing, Place
from operations.clients.parallel import Progress, in_parallel

FOLDER = "catalog/"
STATE = f"{FOLDER}state.json.gz"
# A catalogue of another version is read and written from the beginning.
VERSION = 1

_PRODUCTS = {"picture": PICTURE_SUFFIX, "thumbnail": THUMBNAIL_SUFFIX}


@dataclass
class CatalogState:
    """What a catalogue knows; stored beside it.

    Attributes:
        outputs: facts of each output, by path; with `etag`, the version of its manifest.
        failed: facts of each failed upload, by the path of its report; with `etag`.
        written: digest and entity tag of each file of the catalogue, by path.
        made_at: when its content changed last, RFC 3339.
        version: entity tag of the stored state, `''` without one.
    """

    outputs: dict[str, Facts] = field(default_factory=dict)
    failed: dict[str, Facts] = field(default_factory=dict)
    written: dict[str, list[str]] = field(default_factory=dict)
    made_at: str = ""
    software: str = ""
    version: str = ""

    def as_bytes(self) -> bytes:
        """The stored form."""
        kept = vars(self) | {"version": VERSION}
        text = json.dumps(kept, separators=(",", ":"))
        return gzip.compress(text.encode(), 3, mtime=0)


@dataclass
class Reading:
    """What a reading found.

    Attributes:
        removed: how many outputs and failures are gone.
        changed: whether anything differs from what the state had.
        listing: all files outside of Zarr stores, with their entity tags.
    """

    read: int = 0
    removed: int = 0
    changed: bool = False
    unreadable: dict[str, str] = field(default_factory=dict)
    listing: dict[str, str] = field(default_factory=dict)


def load_state(place: Place) -> CatalogState:
    """The stored state; an empty one if there is none, or it can't be read."""
    if (found := place.open(STATE)) is None:
        return CatalogState()
    try:
        kept: dict[str, Any] = json.loads(gzip.decompress(found.read()))
    except (ValueError, OSError, EOFError, zlib.error):
        return CatalogState(version=found.etag)
    if kept.pop("version", None) != VERSION:
        return CatalogState(version=found.etag)
    return CatalogState(**kept, version=found.etag)


def read_changes(place: Place, state: CatalogState, progress: Progress) -> Reading:
    """Bring outputs and failures of the state up to date; the state changes while this reads.

    A manifest that can't be read leaves what is known of its output.

    Raises:
        ClientError, OSError: the place can't be read.
    """
    reading, viewers, stores = Reading(), set[str](), set[str]()
    times = dict[str, float]()
    for found in folders_below(place, progress):
        reading.listing |= found.files
        times |= {
            path: time
            for path, time in found.times.items()
            if path.endswith((MANIFEST_SUFFIX, PRODUCTS_SUFFIX, *_PRODUCTS.values()))
        }
        stores.update(each.removesuffix("/") for each in found.folders)
        viewers.update(each.removesuffix(f"{VIEWER_SUFFIX}/") for each in found.folders)
    listing = reading.listing
    # A manifest whose output was deleted says nothing of what is there.
    manifests = {
        output: path
        for path in _ending(listing, MANIFEST_SUFFIX)
        if (output := path.removesuffix(MANIFEST_SUFFIX)) in stores or output in listing
    }
    reports = _ending(listing, FAILURE_SUFFIX)
    for known, current in ((state.outputs, manifests), (state.failed, reports)):
        for gone in known.keys() - set(current):
            del known[gone]
            reading.removed += 1
    new = [
        (output, path)
        for output, path in manifests.items()
        if state.outputs.get(output, {}).get("etag") != listing[path]
    ]
    new += [
        ("", path) for path in reports if state.failed.get(path, {}).get("etag") != listing[path]
    ]
    answers = in_parallel(lambda each: _read(place, *each), new)
    for number, (output, path, facts) in enumerate(answers, start=1):
        if isinstance(facts, str):
            reading.unreadable[path] = facts
        elif facts is not None:
            reading.read += 1
            (state.outputs if output else state.failed)[output or path] = facts
            if output:
                _add_products(facts, times, viewers)
        progress("reading manifests", number, len(new))
    products_changed = [_add_products(each, times, viewers) for each in state.outputs.values()]
    reading.changed = any((reading.read, reading.removed, *products_changed))
    return reading


def folders_below(place: Place, progress: Progress) -> list[FolderListing]:
    """List folder by folder, those of one depth in parallel, without the insides of stores."""
    found, waiting = [], [""]
    while waiting:
        level = list(in_parallel(place.list, waiting))
        found += level
        progress("listing folders", len(found), None)
        waiting = [
            folder
            for each in level
            for folder in each.folders
            if not folder.endswith(".zarr/") and not _is_hidden(folder[:-1])
        ]
    return found


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _ending(listing: dict[str, str], suffix: str) -> list[str]:
    return [path for path in listing if path.endswith(suffix) and not _is_hidden(path)]


def _read(place: Place, output: str, path: str) -> tuple[str, str, Facts | str | None]:
    """The facts in a manifest (with `output`) or report; a text says why it has none, None that it is gone."""
    if (found := place.open(path)) is None:
        return output, path, None
    body = found.read()
    try:
        facts = output_facts(body, output) if output else failure_facts(body)
    except FactsUnreadableError as error:
        return output, path, str(error)
    return output, path, facts | {"etag": found.etag, "manifest" if output else "report": path}


def _add_products(facts: Facts, times: dict[str, float], viewers: set[str]) -> bool:
    """Add the paths of the products that are not older than the output; return whether they changed."""
    output = facts["output"]

    def is_current(path: str) -> bool:
        return times.get(path, -math.inf) >= times[output + MANIFEST_SUFFIX]

    found = {
        product: output + suffix if is_current(output + suffix) else None
        for product, suffix in _PRODUCTS.items()
    }
    complete = output in viewers and is_current(output + PRODUCTS_SUFFIX)
    found["viewer"] = output + VIEWER_SUFFIX if complete else None
    changed = any(facts.get(product, "") != path for product, path in found.items())
    facts |= found
    return changed

"""Joins two listings: the uploads of the inbox, and the objects of each output.

The listings can't be merged while they are read: `a.raw` is listed before
`a.raw2.raw`, but `a.zarr` after `a.raw2.zarr`, and rules map prefixes. So both go
into a database on disk, which SQLite deletes when the connection closes. Memory
use does not grow with the listings.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Any, Literal, Self

from flows.core.locations import PICTURE_SUFFIX, THUMBNAIL_SUFFIX, VIEWER_SUFFIX
from lambda_trigger.decisions.sidecars import ListedObject
from operations.findings.findings import Source

# Objects of a Zarr store, and files beside an output. The inbox's rules accept no key
# below a `.zarr/`, so the first one is the root of the store: an output, or its viewer store.
_STORE = re.compile(r"(.*?\.zarr)/", re.DOTALL)
_SIDE_FILE = re.compile(r"(.*\.(?:zarr|nc))\.(manifest|claim|failure|products)\.json", re.DOTALL)
_PRODUCT = re.compile(
    r"(.*\.(?:zarr|nc))"
    rf"(?:{'|'.join(map(re.escape, (PICTURE_SUFFIX, THUMBNAIL_SUFFIX, VIEWER_SUFFIX)))})",
    re.DOTALL,
)

_LOADED_AT_ONCE = 1000

_SCHEMA = """
CREATE TABLE source (
    output TEXT, bucket TEXT, key TEXT, size INT, etag TEXT, modified TEXT, UNIQUE (bucket, key)
);
CREATE TABLE settings (folder TEXT, key TEXT, size INT, etag TEXT, modified TEXT);
CREATE TABLE output (
    output TEXT PRIMARY KEY, objects INT, bytes INT, manifest INT, failure INT, modified TEXT,
    products INT, published TEXT, made TEXT
) WITHOUT ROWID;
CREATE INDEX source_output ON source (output);
CREATE INDEX settings_folder ON settings (folder);
"""
_ADD = """
INSERT INTO output VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (output) DO UPDATE SET
    objects = objects + excluded.objects, bytes = bytes + excluded.bytes,
    manifest = manifest + excluded.manifest, failure = failure + excluded.failure,
    modified = max(modified, excluded.modified), products = products + excluded.products,
    published = max(published, excluded.published), made = max(made, excluded.made)
"""
# What `made` is in a listing without times, such as an S3 inventory: later than any time.
_AT_SOME_TIME = "made"

# `products` is the record of the products, `picture` and `product` are some of them.
Part = Literal["object", "manifest", "claim", "failure", "products", "picture", "product"]


def part_of_output(key: str) -> tuple[str, Part] | None:
    """The output that a key of the output bucket belongs to, and its part; None for other keys."""
    store = _STORE.match(key)
    if product := _PRODUCT.fullmatch(store[1] if store else key):
        return product[1], "picture" if key.endswith(PICTURE_SUFFIX) else "product"
    if store:
        return store[1], "object"
    if found := _SIDE_FILE.fullmatch(key):
        beside: Any = found[2]
        return found[1], beside
    return (key, "object") if key.endswith(".nc") else None


@dataclass(frozen=True, slots=True)
class ListedOutput:
    """One output in the listing; `modified` is the time of its newest part, ISO 8601.

    `has_report` is true if a failure report lies beside it, `has_products` if anything made
    from it does, and `products_are_current` if it has a picture, and their record is not older than its manifest.
    """

    output: str
    objects: int = 0
    bytes: int = 0
    has_manifest: bool = False
    has_report: bool = False
    modified: str = ""
    has_products: bool = False
    products_are_current: bool = False


class Inventory:
    """Uploads, settings XMLs and outputs. Use it in a `with` block."""

    def __init__(self) -> None:
        # An empty name makes a private database in a temporary file.
        self._database = sqlite3.connect("")
        self._database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add_sources(self, sources: Iterable[tuple[str, Source]]) -> None:
        """Add uploads, each with the key of its output; uploads that exist already stay."""
        rows = (
            (output, item.bucket, item.key, item.size, item.etag, item.modified.isoformat())
            for output, item in sources
        )
        self._load("INSERT OR IGNORE INTO source VALUES (?, ?, ?, ?, ?, ?)", rows)

    def add_settings(self, xml: Source) -> None:
        """Add a settings XML."""
        folder = xml.key[: xml.key.rfind("/") + 1]
        row = (folder, xml.key, xml.size, xml.etag, xml.modified.isoformat())
        self._database.execute("INSERT INTO settings VALUES (?, ?, ?, ?, ?)", row)

    def add_outputs(self, listing: Iterable[tuple[str, int, datetime | None]]) -> None:
        """Add a listing of the output bucket: key, bytes, and time of storage if known."""
        self._load(_ADD, _summed(listing))

    def source_count(self) -> int:
        """The number of uploads."""
        count: int = self._database.execute("SELECT count(*) FROM source").fetchone()[0]
        return count

    def settings_in(self, folder: str) -> list[ListedObject]:
        """The settings XMLs of a folder, which is `''` or ends in '/'."""
        found = self._database.execute(
            "SELECT key, size, etag, modified FROM settings WHERE folder = ? ORDER BY key",
            (folder,),
        )
        return [ListedObject(*row) for row in found]

    def sources(self) -> Iterator[tuple[Source, ListedOutput]]:
        """Yield each upload with its output, in the order in which they were added."""
        with closing(self._database.cursor()) as cursor:
            cursor.execute(
                "SELECT bucket, key, size, etag, source.modified, source.output, objects, bytes,"
                " manifest, failure, output.modified, products, published, made"
                " FROM source LEFT JOIN output ON output.output = source.output"
                " ORDER BY source.rowid"
            )
            for bucket, key, size, etag, modified, *output in cursor:
                source = Source(bucket, key, size, etag, datetime.fromisoformat(modified))
                yield source, _listed_output(output)

    def outputs_without_source(self) -> Iterator[ListedOutput]:
        """Yield each output that no upload maps to, by key; uploads may be added meanwhile."""
        last = ""
        while rows := self._database.execute(
            "SELECT output, objects, bytes, manifest, failure, modified, products, published, made"
            " FROM output WHERE output > ? AND NOT EXISTS"
            " (SELECT 1 FROM source WHERE source.output = output.output)"
            " ORDER BY output LIMIT ?",
            (last, _LOADED_AT_ONCE),
        ).fetchall():
            yield from map(_listed_output, rows)
            last = rows[-1][0]

    def _load(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        waiting = iter(rows)
        while batch := list(islice(waiting, _LOADED_AT_ONCE)):
            self._database.executemany(statement, batch)
            self._database.commit()


def _listed_output(row: Any) -> ListedOutput:  # noqa: ANN401 - a row of SQLite
    output, objects, size, manifest, failure, modified, products, published, made = row
    return ListedOutput(
        *(output, objects or 0, size or 0, bool(manifest), bool(failure), modified or ""),
        has_products=bool(products),
        products_are_current=bool(made) and made >= published,
    )


def _summed(listing: Iterable[tuple[str, int, datetime | None]]) -> Iterator[tuple[Any, ...]]:
    """Sum neighbouring keys of one output into one row: a store has hundreds of keys."""
    parts = ((part_of_output(key), size, modified) for key, size, modified in listing)
    known = ((found, size, modified) for found, size, modified in parts if found)
    for output, of_output in groupby(known, key=lambda each: each[0][0]):
        total, marks, newest = 0, Counter[Part](), defaultdict[Part, str](str)
        for (_, part), size, modified in of_output:
            newest[part] = max(newest[part], modified.isoformat() if modified else "")
            marks[part] += 1
            total += size if part == "object" else 0
        products = sum(marks.pop(part, 0) for part in ("products", "picture", "product"))
        made, picture = newest.pop("products", None), newest.pop("picture", None)
        if picture is None:
            # Each output has a picture, unless it failed.
            made = None
        newest.pop("product", None)
        yield (
            *(output, marks["object"], total, marks["manifest"], marks["failure"]),
            *(max(newest.values(), default=""), products, newest["manifest"]),
            _AT_SOME_TIME if made == "" else made or "",
        )

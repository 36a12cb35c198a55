"""Reads the rows of a list of keys: text or CSV, plain or gzip."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote_plus


class ArchiveError(ValueError):
    """The listing, inventory or list of keys can't be read."""


# Bucket ('' if not given), key, bytes, entity tag.
KeyFields = tuple[str, str, int | None, str | None]


@dataclass(frozen=True)
class KeyColumns:
    """Reads rows by column name."""

    names: list[str]
    quoted: bool

    def __call__(self, row: list[str]) -> KeyFields | None:
        """Return the fields of a row, None for an old version or a delete marker."""
        columns = dict(zip(self.names, row, strict=False))
        key = columns.get("key", "")
        if not key or columns.get("islatest") == "false" or columns.get("isdeletemarker") == "true":
            return None
        size = columns.get("size", "")
        return (
            columns.get("bucket", ""),
            unquote_plus(key) if self.quoted else key,
            int(size) if size.isdigit() else None,
            columns.get("etag", "").strip('"') or None,
        )


def columns_of_header(row: list[str]) -> tuple[KeyColumns, bool]:
    """Return how to read a CSV, and whether this first row only names its columns."""
    names = [name.strip().lower() for name in row]
    if "key" in names:
        return KeyColumns(names, quoted=False), True
    return KeyColumns(["bucket", "key"], quoted=True), False


def text_of(name: str, stream: IO[bytes]) -> IO[str]:
    """Open a stream as text; a name that ends in .gz is unpacked."""
    plain: Any = gzip.GzipFile(fileobj=stream) if name.endswith(".gz") else stream
    buffered: Any = plain if isinstance(plain, io.BufferedIOBase) else io.BufferedReader(plain)
    return io.TextIOWrapper(buffered, "utf-8", newline="\n")


def readable(name: str, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Pass rows on; raise ArchiveError with the list's name if they can't be read."""
    try:
        yield from rows
    except (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise ArchiveError(f"{name}: {error}") from error

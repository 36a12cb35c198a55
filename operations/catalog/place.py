"""What the catalogue and the gallery need of an output bucket or folder.

Paths are relative to the root and separated by '/'. An entity tag changes with the content.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Protocol


class ChangedMeanwhileError(Exception):
    """Another writer has replaced the file."""


class RangeInvalidError(Exception):
    """The range begins after the end of the file."""


@dataclass(frozen=True)
class FolderListing:
    """A folder.

    Attributes:
        files: its files with their entity tags.
        folders: its folders, which end in '/'.
        times: when each file was stored, seconds since 1970.
    """

    files: dict[str, str]
    folders: list[str]
    times: dict[str, float]


@dataclass(frozen=True)
class FileContent:
    """A file, or a part of one.

    Attributes:
        body: the bytes from `start`; None if the caller has this version.
        start: offset of the first byte.
        length: number of bytes in `body`.
    """

    body: IO[bytes] | None
    etag: str
    start: int = 0
    length: int = 0
    size: int = 0


# First and last byte; a negative first one counts from the end.
ByteRange = tuple[int, int | None]


class Place(Protocol):
    """Where outputs are."""

    uri: str

    def list(self, folder: str) -> FolderListing:
        """List one folder, which is `''` or ends in '/'; the paths are relative to the root."""

    def open(
        self, path: str, part: ByteRange | None = None, known: str | None = None
    ) -> FileContent | None:
        """Open a file, or a range of it; None if it does not exist. `known` is a version that the caller has.

        Raises:
            RangeInvalidError: the range begins after the end.
        """

    def write(self, path: str, body: bytes, kind: str, replaces: str | None = None) -> str:
        """Write a file; return its entity tag.

        `kind` is a media type; `replaces` is the version to replace, `''` for none; None replaces
        any.

        Raises:
            ChangedMeanwhileError: the file is not this version.
        """

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; missing ones count as deleted."""

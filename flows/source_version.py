"""Which content of a source: what pins a fetch and what a manifest records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceVersion:
    """Entity tag without quotes, and the version id where the bucket is versioned.

    A local file's tag is made of its size and modification time.
    """

    etag: str | None = None
    version_id: str | None = None

    def __post_init__(self) -> None:
        # S3 sends entity tags in quotes, its notifications do without.
        if self.etag is not None:
            object.__setattr__(self, "etag", self.etag.strip('"'))

    def __str__(self) -> str:
        return self.version_id or self.etag or "unknown"

    @property
    def is_known(self) -> bool:
        """Whether there is anything to compare by."""
        return self.etag is not None or self.version_id is not None

    def differs_from(self, wanted: SourceVersion) -> bool:
        """Whether this is surely another version than the one wanted.

        Version ids decide where both have one: the same bytes uploaded again
        are a new upload, with a notification of its own.
        """
        if wanted.version_id is not None and self.version_id is not None:
            return self.version_id != wanted.version_id
        return wanted.etag is not None and self.etag != wanted.etag

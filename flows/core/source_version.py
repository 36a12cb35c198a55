"""The version of a source, which pins a download and is recorded in the manifest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceVersion:
    """Entity tag without quotes, and the version id if the bucket is versioned.

    A local file's tag is made of its size and modification time.
    """

    etag: str | None = None
    version_id: str | None = None

    def __post_init__(self) -> None:
        # S3 sends entity tags with quotes, its notifications without.
        if self.etag is not None:
            object.__setattr__(self, "etag", self.etag.strip('"'))

    def __str__(self) -> str:
        return self.version_id or self.etag or "unknown"

    @property
    def is_known(self) -> bool:
        """Whether it can be compared."""
        return self.etag is not None or self.version_id is not None

    def differs_from(self, wanted: SourceVersion) -> bool:
        """Whether this is certainly another version than `wanted`.

        If both have version ids, these decide: the same bytes uploaded again are a new
            upload with its own notification.
        """
        if wanted.version_id is not None and self.version_id is not None:
            return self.version_id != wanted.version_id
        return wanted.etag is not None and self.etag != wanted.etag

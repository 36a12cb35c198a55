"""Decides whether to publish, given what is already published. Pure: facts in, decision out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flows.core.outcomes import OutputConflict
from flows.core.public_uri import public_uri
from flows.core.source_version import SourceVersion
from flows.encoding.zarr_layers import CONSOLIDATED_ROOT

Decision = Literal["publish", "skip"]


@dataclass(frozen=True)
class Content:
    """The sources of an output: raw file and sidecars, each in one version.

    `notified`: an upload requested this version, not a person. Without this rule, two
    uploads with the same output name (`a.raw`, `a.RAW`) would replace each other's
    output, and one file would be lost silently.
    """

    source: str
    version: SourceVersion
    sidecars: Mapping[str, str | None]
    notified: bool = False

    def __str__(self) -> str:
        return f"{self.source} (version {self.version})"

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Content:
        """The content that a manifest lists."""
        source = manifest["source"]
        return cls(
            public_uri(source["uri"]),
            SourceVersion(source["etag"], source["version_id"]),
            {public_uri(sidecar["uri"]): sidecar["etag"] for sidecar in manifest["sidecars"]},
        )

    def is_same_source(self, other: Content) -> bool:
        """Whether the source and its version are the same, regardless of sidecars."""
        return (
            self.source == other.source
            and self.version.is_known
            and not self.version.differs_from(other.version)
            and not other.version.differs_from(self.version)
        )

    def includes(self, other: Content) -> bool:
        """Whether it is the same source version with at least all sidecars of the other."""
        return self.is_same_source(other) and other.sidecars.items() <= self.sidecars.items()


@dataclass(frozen=True)
class PublishedManifest:
    """The manifest at the output, and the entity tag that identifies this version of it."""

    manifest: Mapping[str, Any]
    etag: str

    @property
    def root_suffix(self) -> str:
        """Suffix of the object that opens the output; the manifest is valid only with it."""
        output = self.manifest["output"]
        return f"/{CONSOLIDATED_ROOT[output['zarr_format']]}" if output["type"] == "zarr" else ""


def decide(
    output: str,
    wanted: Content,
    *,
    overwrite: bool,
    owner: str,
    at_start: str | None,
    now: PublishedManifest | None,
) -> Decision:
    """Decide whether to publish or to keep the published output.

    `at_start` is the entity tag of the manifest at the start of this run, None if there was none;
    `now` was read while this run holds the claim.

    Raises:
        OutputConflict: another content is published and overwrite is off, or an upload
            would replace the output of another source.
    """
    if now is None:
        return "publish"
    published = Content.of_manifest(now.manifest)
    if published.includes(wanted):
        by_this_run = now.manifest["run"]["owner"] == owner
        if not overwrite or by_this_run or now.etag != at_start:
            # It is already published; or an attempt of this run wrote it and died after its commit;
            # or a concurrent run wrote it while this one read.
            return "skip"
    if not overwrite:
        raise OutputConflict(output, str(wanted), str(published))
    if wanted.notified and published.source != wanted.source:
        why = "an upload may replace only its own earlier versions: rename one of the two"
        raise OutputConflict(output, str(wanted), str(published), why)
    return "publish"

"""Whether to publish, given what is published already. Pure: facts in, decision out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flows.outcomes import OutputConflict
from flows.source_version import SourceVersion
from flows.zarr_layers import CONSOLIDATED_ROOT

Decision = Literal["publish", "skip"]


@dataclass(frozen=True)
class Content:
    """What an output is made from: the source and sidecars, each in one version.

    `notified`: an upload asked for this version, not a person. Two uploads whose
    names differ only in what the output's name leaves out (`a.raw`, `a.RAW`) would
    else replace each other's output, and one file would be lost unseen.
    """

    source: str
    version: SourceVersion
    sidecars: Mapping[str, str | None]
    notified: bool = False

    def __str__(self) -> str:
        return f"{self.source} (version {self.version})"

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Content:
        """The content that a manifest vouches for."""
        source = manifest["source"]
        return cls(
            source["uri"],
            SourceVersion(source["etag"], source["version_id"]),
            {sidecar["uri"]: sidecar["etag"] for sidecar in manifest["sidecars"]},
        )

    def is_same_source(self, other: Content) -> bool:
        """The same source in the same version, whatever the sidecars."""
        return (
            self.source == other.source
            and self.version.is_known
            and not self.version.differs_from(other.version)
            and not other.version.differs_from(self.version)
        )

    def includes(self, other: Content) -> bool:
        """The same source version with all of the other's sidecars, and perhaps more."""
        return self.is_same_source(other) and other.sidecars.items() <= self.sidecars.items()


@dataclass(frozen=True)
class Published:
    """The manifest at the output, and the entity tag that tells one writing of it from another."""

    manifest: Mapping[str, Any]
    etag: str

    @property
    def opened_by(self) -> str:
        """What follows the output's name in that of the object which opens it.

        Where that is missing the manifest vouches for nothing.
        """
        output = self.manifest["output"]
        return f"/{CONSOLIDATED_ROOT[output['zarr_format']]}" if output["type"] == "zarr" else ""


def decide(
    output: str,
    wanted: Content,
    *,
    overwrite: bool,
    owner: str,
    at_start: str | None,
    now: Published | None,
) -> Decision:
    """Publish, or leave what is there.

    Args:
        output: for the message.
        wanted: what this run converts.
        overwrite: whether a published output may be replaced.
        owner: this flow run.
        at_start: entity tag of the manifest when this run began, None if there was none.
        now: what is published now that this run holds the claim.

    Raises:
        OutputConflict: something else is published there and overwrite is off, or
            another source is and an upload asks.
    """
    if now is None:
        return "publish"
    published = Content.of_manifest(now.manifest)
    if published.includes(wanted):
        by_this_run = now.manifest["run"]["owner"] == owner
        if not overwrite or by_this_run or now.etag != at_start:
            # Asked for once only; or written by an attempt of this very run that
            # died after its commit; or by a concurrent run while this one read.
            return "skip"
    if not overwrite:
        raise OutputConflict(output, str(wanted), str(published))
    if wanted.notified and published.source != wanted.source:
        why = "an upload replaces only its own earlier versions: rename one of the two"
        raise OutputConflict(output, str(wanted), str(published), why)
    return "publish"

"""What lies at one output, judged against the upload that it should be made from. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flows.manifest import MANIFEST_VERSION
from operations.findings import Source


class ManifestUnreadableError(ValueError):
    """A manifest lacks what it has to say."""


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What a manifest vouches for; `settings` are the settings XMLs' entity tags by URI."""

    source_uri: str
    source_etag: str | None
    settings: Mapping[str, str | None]
    objects: int
    bytes: int
    sha256: str


def manifest_facts(body: bytes) -> ManifestFacts:
    """Read of a manifest what reconciling needs.

    The schema is not checked: that takes milliseconds each, and there are as
    many manifests as uploads.

    Raises:
        ManifestUnreadableError: it is no JSON, of another version, or lacks a field.
    """
    try:
        told = json.loads(body)
        version, output = told["manifest_version"], told["output"]
        facts = ManifestFacts(
            source_uri=str(told["source"]["uri"]),
            source_etag=told["source"]["etag"],
            settings={
                str(sidecar["uri"]): sidecar["etag"]
                for sidecar in told["sidecars"]
                if sidecar["kind"] == "xml"
            },
            objects=int(output["objects"]),
            bytes=int(output["bytes"]),
            sha256=str(output["sha256"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestUnreadableError(f"{type(error).__name__}: {error}") from error
    if version != MANIFEST_VERSION:
        raise ManifestUnreadableError(f"it is of version {version!r}")
    return facts


@dataclass(frozen=True, slots=True)
class Held:
    """What a failure report says: which upload, in which version, is in quarantine, and why."""

    source_uri: str
    source_etag: str | None
    outcome: str
    message: str

    def holds(self, source: Source) -> bool:
        """Whether it is this very upload that is held."""
        return (self.source_uri, self.source_etag) == (source.uri, source.etag)


def held_by(body: bytes) -> Held | None:
    """Read of a failure report what reconciling needs; None where it says nothing."""
    try:
        told = json.loads(body)
        source = told["source"]
        return Held(
            str(source["uri"]), source.get("etag"), str(told["outcome"]), str(told["message"])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What a listing and the manifest tell of an output.

    Attributes:
        objects: how many objects it has beside manifest and claim; None where
            nobody has counted.
        bytes: theirs.
        manifest: what the manifest says; None where there is none that can be read.
        fault: why the manifest can't be read, or the checksum does not hold.
    """

    objects: int | None = 0
    bytes: int = 0
    manifest: ManifestFacts | None = None
    fault: str = ""


State = Literal["absent", "half", "current", "outdated", "contested", "damaged"]


@dataclass(frozen=True, slots=True)
class OutputState:
    """The verdict; `detail` says what is wrong."""

    state: State
    detail: str = ""


def judge_output(
    source: Source, output: OutputFacts, wanted_settings: Mapping[str, str] | None = None
) -> OutputState:
    """Judge an output against its upload.

    The entity tag tells one upload's content from another's; the same bytes
    uploaded twice are one content, whatever their version ids.

    Args:
        source: the upload as it is now.
        output: what lies there.
        wanted_settings: entity tags by URI of the settings XML that the
            trigger would convert it with; None where that is known to agree.
    """
    manifest = output.manifest
    if output.fault:
        return OutputState("damaged", output.fault)
    if manifest is None:
        return OutputState("half", f"{output.objects} objects") if output.objects else _ABSENT
    if manifest.source_uri != source.uri:
        return OutputState("contested", f"the output is made from {manifest.source_uri}")
    if stale := _stale(source, manifest, wanted_settings or {}):
        return OutputState("outdated", stale)
    if output.objects is not None and (output.objects, output.bytes) != (
        manifest.objects,
        manifest.bytes,
    ):
        return OutputState(
            "damaged",
            f"{output.objects} objects, {output.bytes} bytes; "
            f"the manifest says {manifest.objects} and {manifest.bytes}",
        )
    return OutputState("current")


_ABSENT = OutputState("absent")


def _stale(source: Source, manifest: ManifestFacts, wanted_settings: Mapping[str, str]) -> str:
    """What the output was made from that is another by now; empty where nothing is."""
    if manifest.source_etag != source.etag:
        return f"made from {manifest.source_etag}, now {source.etag}"
    changed = [uri for uri, etag in wanted_settings.items() if manifest.settings.get(uri) != etag]
    return f"made without {', '.join(changed)} as it is now" if changed else ""

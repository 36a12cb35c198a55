"""Compares an output with the upload that it should be made from. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.publishing.manifest import MANIFEST_VERSION
from lambda_trigger.decisions.wording import counted
from operations.findings.findings import Kind, Source


class ManifestUnreadableError(ValueError):
    """A manifest can't be read, or lacks a field."""


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What a manifest states.

    Attributes:
        settings: entity tags of the settings XMLs, by URI.
        remarks: what the output lacks, and quality facts above their thresholds.
    """

    source_uri: str
    source_etag: str | None
    settings: Mapping[str, str | None]
    objects: int
    bytes: int
    sha256: str
    remarks: tuple[str, ...] = ()


def manifest_facts(body: bytes) -> ManifestFacts:
    """Read what reconciling needs from a manifest.

    The schema is not checked: this takes milliseconds, and each upload has a manifest.

    Raises:
        ManifestUnreadableError: it is not JSON, has another version, or lacks a field.
    """
    try:
        fields = json.loads(body)
        version, output = fields["manifest_version"], fields["output"]
        facts = ManifestFacts(
            source_uri=str(fields["source"]["uri"]),
            source_etag=fields["source"]["etag"],
            settings={
                str(sidecar["uri"]): sidecar["etag"]
                for sidecar in fields["sidecars"]
                if sidecar["kind"] == "xml"
            },
            objects=int(output["objects"]),
            bytes=int(output["bytes"]),
            sha256=str(output["sha256"]),
            remarks=_remarks(fields),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestUnreadableError(f"{type(error).__name__}: {error}") from error
    if version != MANIFEST_VERSION:
        raise ManifestUnreadableError(f"it has version {version!r}")
    return facts


def _remarks(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    missing = manifest.get("missing")
    # Older manifests have no quality facts.
    alarms = [str(fact["sentence"]) for fact in manifest.get("quality", ()) if fact["alarm"]]
    return (*([f"missing: {missing}"] if missing else []), *alarms)


@dataclass(frozen=True, slots=True)
class FailureFacts:
    """A failure report: which upload, in which version, is in quarantine, and why."""

    source_uri: str
    source_etag: str | None
    outcome: str
    message: str

    def is_about(self, source: Source) -> bool:
        """Whether the report is about this upload in this version."""
        return (self.source_uri, self.source_etag) == (source.uri, source.etag)


def failure_facts(body: bytes) -> FailureFacts | None:
    """Read what reconciling needs from a failure report; None if it can't be read."""
    try:
        fields = json.loads(body)
        source = fields["source"]
        return FailureFacts(
            str(source["uri"]), source.get("etag"), str(fields["outcome"]), str(fields["message"])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What the listing and the manifest say about an output.

    Attributes:
        objects: how many objects it has, without manifest and claim; None if not counted.
        manifest: the manifest; None if it is missing or can't be read.
        fault: why the manifest can't be read, or the checksum is wrong.
    """

    objects: int | None = 0
    bytes: int = 0
    manifest: ManifestFacts | None = None
    fault: str = ""


# The class of a completed upload with such an output, and what is wrong, or remarkable if it is done.
OutputState = tuple[Kind, str]


def judge_output(
    source: Source, output: OutputFacts, wanted_settings: Mapping[str, str] | None = None
) -> OutputState:
    """Compare an output with its upload.

    The entity tag identifies the content of an upload; the same bytes uploaded twice are the same
    content, even if their version ids differ. `wanted_settings` are entity tags, by URI, of the
    settings XML that the trigger would use; None if they are known to match.
    """
    manifest = output.manifest
    if output.fault:
        return Kind.OUTPUT_DAMAGED, output.fault
    if manifest is None:
        objects = counted(output.objects or 0, "object")
        return (Kind.TORN, objects) if output.objects else (Kind.OUTPUT_MISSING, "")
    if manifest.source_uri != source.uri:
        return Kind.CONTESTED, f"the output is made from {manifest.source_uri}"
    if stale := _stale(source, manifest, wanted_settings or {}):
        return Kind.SUPERSEDED, stale
    promised = (manifest.objects, manifest.bytes)
    if output.objects is not None and (output.objects, output.bytes) != promised:
        found = f"{counted(output.objects, 'object')}, {counted(output.bytes, 'byte')}"
        return (
            Kind.OUTPUT_DAMAGED,
            f"{found}; the manifest says {promised[0]:,} and {promised[1]:,}",
        )
    return Kind.DONE, "; ".join(manifest.remarks)


def _stale(source: Source, manifest: ManifestFacts, wanted_settings: Mapping[str, str]) -> str:
    """Which sources of the output have changed since; empty if none has."""
    if manifest.source_etag != source.etag:
        return f"made from {manifest.source_etag}, now {source.etag}"
    changed = [uri for uri, etag in wanted_settings.items() if manifest.settings.get(uri) != etag]
    return f"made without the current {', '.join(changed)}" if changed else ""

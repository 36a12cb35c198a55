"""The manifest: from what and how an output was made. Its existence marks the output as complete.

It is written last, after the output was read back. An output without a manifest is not
finished. manifest.schema.json is its schema.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata, resources
from typing import Any

import jsonschema

from flows.encoding.written_store import WrittenStore
from flows.publishing.recording.quality import alarms
from flows.stores.download import FetchedFile

MANIFEST_VERSION = 1

_SOFTWARE = ("echodrop", "echopype", "xarray", "zarr", "numpy", "prefect")


class ManifestInvalidError(ValueError):
    """A manifest is not JSON, or does not match its schema."""

    def __init__(self, uri: str, cause: str) -> None:
        super().__init__(f"{uri}: not a valid manifest: {cause}")
        self.uri = uri
        self.cause = cause


def described_source(source: FetchedFile) -> dict[str, Any]:
    """The manifest's entry for a fetched file."""
    modified = source.last_modified
    return {
        "uri": source.location.uri,
        "etag": source.version.etag,
        "version_id": source.version.version_id,
        "bytes": source.size,
        "sha256": source.sha256,
        "last_modified": modified.astimezone(UTC).isoformat() if modified else None,
    }


def described_store(written: WrittenStore, codec_family: int) -> dict[str, Any]:
    """The manifest's entry `output` for a Zarr store."""
    return {
        "codec_family": codec_family,
        "objects": len(written.digests),
        "bytes": written.size,
        "sha256": written.checksum(),
    }


def described_file(size: int, sha256: str) -> dict[str, Any]:
    """The manifest's entry `output` for a netCDF file of `size` bytes."""
    return {"codec_family": None, "objects": 1, "bytes": size, "sha256": sha256}


def software_versions() -> dict[str, str]:
    """Versions of Python and of each package that affects the output."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _SOFTWARE},
    }


def build_manifest(**entries: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values, as the schema describes them
    """A manifest of now, with these entries and the versions of the software."""
    return {
        "manifest_version": MANIFEST_VERSION,
        "published_at": datetime.now(UTC).isoformat(),
        **entries,
        "software": software_versions(),
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The stored form of the manifest."""
    return (json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    """The schema's validator; `jsonschema.validate` would check the schema itself each time."""
    return jsonschema.Draft202012Validator(manifest_schema())


@functools.cache
def manifest_schema() -> dict[str, Any]:
    """The JSON schema of the manifest."""
    text = resources.files(__package__).joinpath("manifest.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def read_manifest(body: bytes, uri: str) -> dict[str, Any]:
    """Parse and check a stored manifest.

    Raises:
        ManifestInvalidError: it is not a valid manifest.
    """
    try:
        manifest: dict[str, Any] = json.loads(body)
        _validator().validate(manifest)
    except (ValueError, jsonschema.ValidationError) as error:
        cause = error.message if isinstance(error, jsonschema.ValidationError) else str(error)
        raise ManifestInvalidError(uri, cause) from error
    return manifest


def manifest_rows(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """The manifest as rows for people, in reading order."""
    source, output, contents = manifest["source"], manifest["output"], manifest["contents"]
    times, box = contents["time_range"], contents["position_box"]
    quality = manifest.get("quality", [])
    facts = {
        "source": source["uri"],
        "version": source["version_id"] or source["etag"],
        "bytes": f"{source['bytes']:,}",
        "sha256": source["sha256"],
        "sidecars": ", ".join(sidecar["uri"] for sidecar in manifest["sidecars"]),
        "sonar model": manifest["sonar"]["model"],
        "model found by": manifest["sonar"]["found_by"],
        "condition": manifest["preflight"]["condition"],
        "missing": manifest["missing"],
        "corrections": "; ".join(
            f"{each['what']} ({each['count']:,} values)" for each in manifest["corrections"]
        ),
        "quality": "; ".join(alarms(quality)),
        "quality, within limits": "; ".join(
            str(fact["sentence"]) for fact in quality if not fact["alarm"]
        ),
        "read whole by echopype, because": manifest["engine"]["reason"],
        "pings": ", ".join(f"{name}: {count:,}" for name, count in contents["pings"].items()),
        "channels": ", ".join(contents["channels"]),
        "time range": f"{times['first']} to {times['last']}" if times else None,
        "positions": "{south:.4f} to {north:.4f} N, {west:.4f} to {east:.4f} E".format(**box)
        if box
        else None,
        "output": output["uri"],
        "output bytes": f"{output['bytes']:,} in {output['objects']:,} objects "
        f"({output['bytes'] / max(1, source['bytes']):.2f} of the raw file)",
        "verified": f"{manifest['verification']['objects_listed']:,} objects listed, "
        f"{manifest['verification']['objects_read']:,} read back",
        "parser warnings": "; ".join(manifest["parser_warnings"]),
        "seconds": ", ".join(
            f"{stage} {spent:.2f}" for stage, spent in manifest["timings"].items()
        ),
    }
    return [{"fact": name, "value": str(value)} for name, value in facts.items() if value]

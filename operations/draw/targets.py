"""Which outputs a target of `echodrop draw` has, and which of them lack current products."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.core.locations import (
    MANIFEST_SUFFIX,
    OUTPUT_SUFFIXES,
    PRODUCTS_SUFFIX,
    S3Location,
    parse_location,
)
from flows.products.product_jobs import is_current
from operations.clients.parallel import in_parallel
from operations.findings.output_state import ManifestUnreadableError, manifest_facts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SUFFIXES = tuple(OUTPUT_SUFFIXES.values())
_MANIFESTS = tuple(suffix + MANIFEST_SUFFIX for suffix in _SUFFIXES)


class TargetError(ValueError):
    """A target is not an output, and has no outputs below it."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target}: no complete output there: an output has a manifest, NAME.zarr.manifest.json "
            "or NAME.nc.manifest.json"
        )


@dataclass(frozen=True)
class FoundOutput:
    """A complete output: its path or URI, and whether its products are current."""

    output: str
    is_current: bool


def local_outputs(target: str) -> list[FoundOutput]:
    """Find the outputs at a path: an output, or all below a folder, by name.

    Raises:
        TargetError: it has none.
        OSError: a manifest cannot be read.
    """
    path = Path(target).expanduser().absolute()
    found = [path] if path.name.endswith(_SUFFIXES) else sorted(_below(path))
    outputs = [each for each in found if _beside(each, MANIFEST_SUFFIX).is_file()]
    if not outputs:
        raise TargetError(target)
    return [FoundOutput(str(each), _is_current_locally(each)) for each in outputs]


def _below(folder: Path) -> Iterator[Path]:
    for inside, folders, names in os.walk(folder):
        # Stores have thousands of files, and no output.
        folders[:] = [name for name in folders if not name.endswith(".zarr")]
        for name in names:
            if name.endswith(_MANIFESTS):
                yield Path(inside, name.removesuffix(MANIFEST_SUFFIX))


def _is_current_locally(output: Path) -> bool:
    record = _beside(output, PRODUCTS_SUFFIX)
    if not record.is_file():
        return False
    return _says_current(record.read_bytes(), _beside(output, MANIFEST_SUFFIX).read_bytes())


def _beside(output: Path, suffix: str) -> Path:
    return output.with_name(output.name + suffix)


def _says_current(record: bytes, manifest: bytes) -> bool:
    try:
        return is_current(record, manifest_facts(manifest).sha256)
    except ManifestUnreadableError:
        return False


def s3_outputs(s3: S3Client, target: str) -> list[FoundOutput]:
    """Find the outputs at `s3://bucket/key` of an output, or all below `s3://bucket/prefix`.

    Folders are listed, and not the stores in them. Only a record that is not older than
    its output's manifest is read.

    Raises:
        TargetError: it has none.
        ClientError: S3 refuses.
    """
    place = parse_location(target)
    assert isinstance(place, S3Location)  # noqa: S101 - the caller has seen the scheme
    key = (
        place.key.rstrip("/")
        if place.key.endswith(tuple(f"{s}/" for s in _SUFFIXES))
        else place.key
    )
    times = dict(_listed(s3, place.bucket, key))
    outputs = [name.removesuffix(MANIFEST_SUFFIX) for name in times if name.endswith(_MANIFESTS)]
    if key.endswith(_SUFFIXES):
        outputs = [name for name in outputs if name == key]
    if not outputs:
        raise TargetError(target)

    def look(output: str) -> FoundOutput:
        made, published = times.get(output + PRODUCTS_SUFFIX), times[output + MANIFEST_SUFFIX]
        uri = S3Location(place.bucket, output).uri
        if made is None or made < published:
            return FoundOutput(uri, is_current=False)
        bodies = (
            s3.get_object(Bucket=place.bucket, Key=output + suffix)["Body"].read()
            for suffix in (PRODUCTS_SUFFIX, MANIFEST_SUFFIX)
        )
        return FoundOutput(uri, is_current=_says_current(*bodies))

    return list(in_parallel(look, outputs))


def _listed(s3: S3Client, bucket: str, prefix: str) -> Iterator[tuple[str, datetime]]:
    """Yield the keys beside the stores, with their times of storage."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, Delimiter="/"
    )
    for page in pages:
        for item in page.get("Contents", []):
            yield item["Key"], item["LastModified"]
        for folder in page.get("CommonPrefixes", []):
            # A hidden folder has reports.
            name = folder["Prefix"].rstrip("/").rpartition("/")[2]
            if not name.endswith(".zarr") and not name.startswith("."):
                yield from _listed(s3, bucket, folder["Prefix"])

"""Reads the buckets: listings page by page, and single outputs as they are now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from flows.core.locations import FAILURE_SUFFIX, MANIFEST_SUFFIX, S3Location, parse_location
from flows.stores.object_store import ObjectStore, error_code
from operations.findings.findings import Source
from operations.findings.output_state import (
    FailureFacts,
    ManifestFacts,
    ManifestUnreadableError,
    OutputFacts,
    failure_facts,
    manifest_facts,
)
from operations.inventory.inventory import ListedOutput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def listed(s3: S3Client, bucket: str, prefix: str = "", after: str = "") -> Iterator[Source]:
    """List the objects whose keys start with a prefix, in the order of their keys, `after` a key."""
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    if after:
        request["StartAfter"] = after
    for page in s3.get_paginator("list_objects_v2").paginate(**request):
        for item in page.get("Contents", []):
            yield Source(
                bucket=bucket,
                key=item["Key"],
                size=item["Size"],
                etag=item["ETag"].strip('"'),
                modified=item["LastModified"],
            )


def upload_place(uri: str) -> S3Location:
    """The bucket and key of an upload that a person names.

    Raises:
        ValueError: the URI names no object.
    """
    place = parse_location(uri)
    if not isinstance(place, S3Location) or not place.key:
        raise ValueError(f"{uri} names no upload: give s3://bucket/key")
    return place


def source_now(s3: S3Client, bucket: str, key: str) -> Source | None:
    """One object as it is now; None if it is gone.

    Raises:
        ClientError: S3 refuses, or there is no such bucket.
    """
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # The answer to a HEAD request has no body, so it has no error code.
        if error_code(error)[0] == 404:
            # This fails if it is the bucket that does not exist.
            s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
            return None
        raise
    return Source(bucket, key, head["ContentLength"], head["ETag"].strip('"'), head["LastModified"])


def read_object(s3: S3Client, bucket: str, key: str) -> bytes | None:
    """Read a small object; None if there is none."""
    found = ObjectStore(s3, bucket).get(key)
    return found.body if found else None


def read_manifest_of(s3: S3Client, bucket: str, output: str) -> ManifestFacts | None:
    """Read the manifest of an output; None if there is none.

    Raises:
        ManifestUnreadableError: the manifest can't be read.
    """
    body = read_object(s3, bucket, output + MANIFEST_SUFFIX)
    return None if body is None else manifest_facts(body)


def read_report_of(s3: S3Client, bucket: str, output: str) -> FailureFacts | None:
    """Read the failure report beside an output; None if there is none, or it can't be read."""
    body = read_object(s3, bucket, output + FAILURE_SUFFIX)
    return None if body is None else failure_facts(body)


def source_named(s3: S3Client, bucket: str, output: ListedOutput) -> str:
    """URI of the upload that an output's manifest or failure report names; empty if neither does."""
    if output.has_manifest:
        try:
            manifest = read_manifest_of(s3, bucket, output.output)
        except ManifestUnreadableError:
            return ""
        return manifest.source_uri if manifest else ""
    failure = read_report_of(s3, bucket, output.output) if output.has_report else None
    return failure.source_uri if failure else ""


def output_now(s3: S3Client, bucket: str, output: str) -> OutputFacts:
    """One output as it is now."""
    try:
        manifest = read_manifest_of(s3, bucket, output)
    except ManifestUnreadableError as error:
        return OutputFacts(fault=f"its manifest can't be read: {error}")
    parts = list(_parts(s3, bucket, output))
    return OutputFacts(len(parts), sum(part.size for part in parts), manifest)


def listed_now(s3: S3Client, bucket: str, output: str) -> ListedOutput:
    """One output as a listing would show it now, without the time of storage."""
    facts = output_now(s3, bucket, output)
    has_report = read_report_of(s3, bucket, output) is not None
    has_manifest = facts.manifest is not None or bool(facts.fault)
    return ListedOutput(output, facts.objects or 0, facts.bytes, has_manifest, has_report)


def checksum_now(s3: S3Client, bucket: str, output: str) -> str | None:
    """Compute the checksum of an output, as its manifest states it; this reads all of it.

    None if a part disappears meanwhile: a run may be replacing it. For a netCDF file it
    is the SHA-256 of the file. For a Zarr store it is the SHA-256 of the lines
    `<hex sha256> <key>`, each with a line feed, sorted by key.
    """
    try:
        if output.endswith(".nc"):
            return _sha256(s3, bucket, output)
        return _sha256_of_store(s3, bucket, output)
    except ClientError as error:
        if error_code(error)[1] == "NoSuchKey":
            return None
        raise


def _sha256_of_store(s3: S3Client, bucket: str, output: str) -> str:
    whole = hashlib.sha256()
    # S3 lists in the order of UTF-8 bytes, which is the order of code points.
    for part in _parts(s3, bucket, output):
        digest = _sha256(s3, bucket, part.key)
        whole.update(f"{digest} {part.key.removeprefix(f'{output}/')}\n".encode())
    return whole.hexdigest()


def _parts(s3: S3Client, bucket: str, output: str) -> Iterator[Source]:
    if output.endswith(".nc"):
        # It comes first; what is made from it follows.
        first = islice(listed(s3, bucket, output), 1)
        return (item for item in first if item.key == output)
    return listed(s3, bucket, f"{output}/")


def _sha256(s3: S3Client, bucket: str, key: str) -> str:
    body: Any = s3.get_object(Bucket=bucket, Key=key)["Body"]
    return hashlib.file_digest(body, "sha256").hexdigest()

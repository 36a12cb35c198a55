"""Finds prefixes of the inbox that have had no upload for too long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client


def quiet_prefixes(
    s3: S3Client, bucket: str, quiet_hours: Mapping[str, float], now: datetime
) -> list[str]:
    """List the prefixes whose newest object is older than their limit, or that have no object.

    A request lists a thousand objects, and the search ends at the first recent one. So
    configure the prefix of a running cruise, not that of an archive.
    """
    return [
        prefix
        for prefix, hours in quiet_hours.items()
        if not _has_upload_since(s3, bucket, prefix, now - timedelta(hours=hours))
    ]


def _has_upload_since(s3: S3Client, bucket: str, prefix: str, since: datetime) -> bool:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return any(item["LastModified"] >= since for page in pages for item in page.get("Contents", []))

"""Which prefixes of the inbox have had no upload for too long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client


def quiet_prefixes(
    s3: S3Client, bucket: str, quiet_hours: Mapping[str, float], now: datetime
) -> list[str]:
    """The prefixes whose newest object is older than their hours, or that have none.

    A thousand objects are one request: watch the prefix of a running cruise, not
    that of an archive.
    """
    return [
        prefix
        for prefix, hours in quiet_hours.items()
        if _newest(s3, bucket, prefix) < now - timedelta(hours=hours)
    ]


def _newest(s3: S3Client, bucket: str, prefix: str) -> datetime:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return max(
        (item["LastModified"] for page in pages for item in page.get("Contents", [])),
        default=datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
    )

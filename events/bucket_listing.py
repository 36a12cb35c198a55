"""What lies in a bucket, as objects to notify of."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from events.notifications import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def stored_objects(s3: "S3Client", bucket: str, prefix: str = "") -> Iterator[StoredObject]:
    """List the objects of a bucket whose keys start with a prefix, page by page.

    A listing does not name versions; the trigger asks S3 for them, so that these
    notifications have the identity of the upload's own.
    """
    # botocore asks for encoded keys and decodes them, unless it is asked for them.
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for item in page.get("Contents", []):
            yield StoredObject(
                bucket=bucket,
                key=item["Key"],
                size=item["Size"],
                etag=item["ETag"].strip('"'),
                stored_at=item["LastModified"].isoformat(),
            )

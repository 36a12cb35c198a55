"""Finds the newest S3 inventory of the output bucket, which replaces listing the bucket.

S3 delivers it below `.echodrop/inventory/` of the output bucket itself, beside the
reports, where the reconciliation has access. Source: "Locating your inventory list",
S3 user guide.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from operations.inventory.archive_items import InventoryReport
from operations.inventory.listings import listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# S3 makes one each day or each week; if the newest is older, the inventory was switched off.
OLDEST = timedelta(days=8)

log = logging.getLogger(__name__)


def newest_inventory(
    s3: S3Client, bucket: str, prefix: str, now: datetime
) -> InventoryReport | None:
    """Find an inventory to read instead of listing `bucket`; None if there is no usable one.

    Args:
        s3: its client.
        bucket: the bucket that it must list, and that it is stored in.
        prefix: where S3 delivers it.
        now: with its time zone.

    Raises:
        ClientError: S3 refuses.
    """
    manifests = [item for item in listed(s3, bucket, prefix) if item.key.endswith("/manifest.json")]
    for item in sorted(manifests, key=lambda each: each.modified, reverse=True):
        if why := _why_unusable(
            s3.get_object(Bucket=bucket, Key=item.key)["Body"].read(), bucket, now
        ):
            log.warning("inventory %s is not used: %s", item.uri, why)
            continue
        return InventoryReport(s3, bucket, item.key)
    return None


def _why_unusable(manifest: bytes, bucket: str, now: datetime) -> str:
    """Why an inventory can't replace a listing; empty if it can."""
    try:
        fields = json.loads(manifest)
        made = datetime.fromtimestamp(int(fields["creationTimestamp"]) / 1000, UTC)
        source, form = fields["sourceBucket"], fields["fileFormat"]
        columns = {name.strip().lower() for name in fields["fileSchema"].split(",")}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return f"it is not the manifest of an S3 inventory: {error!r}"
    if source != bucket:
        return f"it lists bucket {source}"
    if form != "CSV" or "size" not in columns:
        return f"it must be CSV with sizes, but is {form} of {', '.join(sorted(columns))}"
    if now - made > OLDEST:
        return f"it was made on {made:%Y-%m-%d}"
    return ""

"""The newest S3 inventory of the output bucket, where it has one: a look at everything need not list it then.

S3 delivers it below `.echodrop/inventory/` of the output bucket itself, beside
the reports, where the reconciliation may read. Source: "Locating your inventory
list", S3 user guide.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from operations.archive_items import InventoryReport
from operations.listings import listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# S3 makes one each day or each week; an older one is of an inventory that was switched off.
OLDEST = timedelta(days=8)

log = logging.getLogger(__name__)


def newest_inventory(
    s3: S3Client, bucket: str, prefix: str, now: datetime
) -> InventoryReport | None:
    """The inventory to read in place of a listing of `bucket`; None where there is none of use.

    Args:
        s3: its client.
        bucket: whose inventory it has to be, and where it lies.
        prefix: below which S3 delivers it.
        now: with its time zone.

    Raises:
        ClientError: S3 refuses.
    """
    manifests = [item for item in listed(s3, bucket, prefix) if item.key.endswith("/manifest.json")]
    for item in sorted(manifests, key=lambda each: each.modified, reverse=True):
        if why := _unfit(s3.get_object(Bucket=bucket, Key=item.key)["Body"].read(), bucket, now):
            log.warning("inventory %s is not read, %s", item.uri, why)
            continue
        return InventoryReport(s3, bucket, item.key)
    return None


def _unfit(manifest: bytes, bucket: str, now: datetime) -> str:
    """Why an inventory does not stand for a listing; empty where it does."""
    try:
        told = json.loads(manifest)
        made = datetime.fromtimestamp(int(told["creationTimestamp"]) / 1000, UTC)
        source, form = told["sourceBucket"], told["fileFormat"]
        columns = {name.strip().lower() for name in told["fileSchema"].split(",")}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return f"it is no manifest of an S3 inventory: {error!r}"
    if source != bucket:
        return f"it is of bucket {source}"
    if form != "CSV" or "size" not in columns:
        return f"it has to be CSV with sizes, and is {form} of {', '.join(sorted(columns))}"
    if now - made > OLDEST:
        return f"it was made on {made:%Y-%m-%d}"
    return ""

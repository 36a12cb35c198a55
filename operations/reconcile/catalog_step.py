"""Brings the catalogue up to date after a reconciliation, whose result it never changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from operations.catalog.places import BucketPlace
from operations.catalog.writing import update_catalog
from operations.reconcile.reconcile_report import ReportLocation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)


def update_after(s3: S3Client, place: ReportLocation) -> tuple[dict[str, Any] | None, str]:
    """Update the catalogue of the outputs beside which the reports are.

    Returns:
        What was done, and why the catalogue is not up to date; `''` if it is.
    """
    root = place.prefix.removesuffix(".echodrop/reconcile/")
    try:
        found = update_catalog(BucketPlace(s3, place.bucket, root))
    # BLE001: the inbox is reconciled; the next run updates the catalogue.
    except Exception as error:
        log.warning("catalogue not updated", exc_info=True)
        return None, f"{type(error).__name__}: {error}"
    unreadable = len(found.reading.unreadable)
    return found.as_json(), f"{unreadable} manifests or reports can't be read" if unreadable else ""

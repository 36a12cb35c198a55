"""The record of products that could not be made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from flows.core.locations import MANIFEST_SUFFIX, PRODUCTS_SUFFIX
from flows.products.complete_output import PRODUCTS_VERSION
from flows.products.jobs.product_jobs import ProductJob, is_current
from flows.products.make import PRODUCTS
from flows.products.product_files import FilesOfVersion, OutputReplacedError, product_files
from flows.publishing.manifest import read_manifest


def record_failure(
    job: ProductJob,
    error: str,
    products: Mapping[str, Any] | None = None,
    output_sha256: str | None = None,
) -> dict[str, Any] | None:
    """Write the record of an output whose products failed; None if there is no such output now.

    Products that were not made are removed: they are half written, or of an older output.

    Args:
        job: the output.
        error: why.
        products: entries of the products that were made before, by name.
        output_sha256: checksum of the output that was drawn; None if nothing was begun.
            Then current products stay, with their record.
    """
    beside = product_files(job.output, job.storage_options)
    body = beside.read(MANIFEST_SUFFIX)
    if body is None:
        return None
    now = read_manifest(body, job.output + MANIFEST_SUFFIX)["output"]["sha256"]
    before = beside.read(PRODUCTS_SUFFIX)
    if output_sha256 is None and before is not None and is_current(before, now):
        current: dict[str, Any] = json.loads(before)
        return current
    made = products or {}
    failed = {name: {"state": "failed", "error": error} for name in PRODUCTS}
    record = {
        "products_version": PRODUCTS_VERSION,
        "made_at": datetime.now(UTC).isoformat(),
        "output": job.output,
        "output_sha256": output_sha256 or now,
        "software": {"echodrop": metadata.version("echodrop")},
        "products": {**failed, **made},
        "picture": None,
        "seconds": {},
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    files = FilesOfVersion(beside, job.output, output_sha256 or now)
    try:
        for name in PRODUCTS.keys() - made.keys():
            files.remove(PRODUCTS[name])
        files.write(PRODUCTS_SUFFIX, text.encode())
    except OutputReplacedError:
        return None
    return record

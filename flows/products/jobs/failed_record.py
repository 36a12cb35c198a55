"""The record of products that could not be made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from flows.core.locations import MANIFEST_SUFFIX, PRODUCTS_SUFFIX
from flows.products.jobs.product_jobs import ProductJob
from flows.products.make import PRODUCTS, PRODUCTS_VERSION
from flows.products.product_files import product_files
from flows.publishing.manifest import read_manifest


def record_failure(
    job: ProductJob, error: str, made: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Write the record of an output whose products failed; None if there is no complete output.

    Args:
        job: the output.
        error: why.
        made: entries of the products that were made before, by name.
    """
    files = product_files(job.output, job.storage_options)
    body = files.read(MANIFEST_SUFFIX)
    if body is None:
        return None
    failed = {name: {"state": "failed", "error": error} for name in PRODUCTS}
    manifest = read_manifest(body, job.output + MANIFEST_SUFFIX)
    record = {
        "products_version": PRODUCTS_VERSION,
        "made_at": datetime.now(UTC).isoformat(),
        "output": job.output,
        "output_sha256": manifest["output"]["sha256"],
        "software": {"echodrop": metadata.version("echodrop")},
        "products": {**failed, **(made or {})},
        "picture": None,
        "seconds": {},
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    files.write(PRODUCTS_SUFFIX, text.encode())
    return record

"""Publishes a netCDF output to S3: one object, which is put and read back."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flows.core.outcomes import OutputMismatch, SourceChanged, Superseded
from flows.core.source_version import SourceVersion
from flows.publishing.manifest import described_file
from flows.publishing.publication import WriteNetcdf
from flows.publishing.s3_attempt import S3Attempt
from flows.publishing.verification import verify_netcdf
from flows.stores.download import download
from flows.stores.sources import S3Source


def put_netcdf(attempt: S3Attempt, write: WriteNetcdf) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put the file and verify it; return the manifest's entries `output` and `verification`.

    The old file is readable until the new one replaces it.

    Raises:
        ClaimLost, Superseded: raised before anything was changed.
        OutputMismatch: the file read back differs from the file written.
    """
    order, store = attempt.order, attempt.store
    key = attempt.output.key
    path = order.scratch / attempt.output.name
    with order.stage("encode"):
        write(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    with order.stage("publish"):
        if attempt.claim.previous is not None:
            store.abort_uploads(key)
        order.check_current()
        attempt.withdraw()
        attempt.touched = {key}
        etag = store.put_file(key, path)
    with order.stage("verify"):
        size = path.stat().st_size
        path.unlink()
        _read_back(attempt, path, SourceVersion(etag), digest)
        verification = verify_netcdf(attempt.output.uri, path, order.echodata, mode=order.verify)
        path.unlink()
    return described_file(size, digest), verification


def _read_back(attempt: S3Attempt, path: Path, version: SourceVersion, digest: str) -> None:
    output = attempt.output
    try:
        found = download(S3Source(attempt.store.client, output), output, path, wanted=version)
    except (FileNotFoundError, Superseded, SourceChanged) as error:
        raise OutputMismatch(output.uri, f"cannot be read back: {error}") from error
    if found.sha256 != digest:
        raise OutputMismatch(output.uri, "the bytes read back differ from those put")

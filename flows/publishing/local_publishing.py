"""Publishes to a local folder: the output is built next to its place, synced, and renamed."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.core.locations import CLAIM_SUFFIX, MANIFEST_SUFFIX, LocalLocation
from flows.core.outcomes import OutputClaimed, OutputConflict
from flows.encoding.codec_families import family_unlike
from flows.encoding.encoded_chunks import EncodedObject
from flows.encoding.written_store import WrittenStore
from flows.publishing import manifest as manifests
from flows.publishing.publication import (
    EncodeZarr,
    Published,
    PublishOrder,
    Skipped,
    WriteNetcdf,
)
from flows.publishing.publish_decision import PublishedManifest
from flows.publishing.verification import verify_netcdf
from flows.publishing.zarr_verification import ZarrVerification
from flows.stores import durable_files
from flows.stores.object_store import ObjectEntry


@dataclass(frozen=True)
class FolderReadBack:
    """A Zarr store in a folder; it has no entity tags."""

    root: Path

    def list(self) -> dict[str, ObjectEntry]:
        """See `flows.publishing.zarr_verification.ReadBack`."""
        return {
            path.relative_to(self.root).as_posix(): ObjectEntry(path.stat().st_size, "")
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `flows.publishing.zarr_verification.ReadBack`."""
        return {key: path.read_bytes() for key in keys if (path := self.root / key).is_file()}


@dataclass(frozen=True)
class FolderOutput:
    """An output on this machine."""

    location: LocalLocation

    def published(self) -> PublishedManifest | None:
        """See `flows.publishing.s3_publishing.S3Output`."""
        place = self.location.sibling(self.location.name + MANIFEST_SUFFIX)
        try:
            body = place.path.read_bytes()
            manifest = manifests.read_manifest(body, place.uri)
        except (FileNotFoundError, manifests.ManifestInvalidError):
            return None
        published = PublishedManifest(manifest, hashlib.sha256(body).hexdigest())
        root = Path(f"{self.location.path}{published.root_suffix}")
        return published if root.is_file() else None

    def publish(self, order: PublishOrder) -> Published | Skipped:
        """See `flows.publishing.s3_publishing.S3Output`.

        Raises:
            OutputConflict: also if the output was not written by echodrop.
            OSError: from the disk; `flows.stores.errors` turns it into an outcome.
        """
        self.location.path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(self.location) as claim:
            return _publish(self.location, order, claim, self.published())


@dataclass
class _Claim:
    """A lock on the output; `torn`: a run may have left the output without its manifest."""

    torn: bool


@contextlib.contextmanager
def _lock(output: LocalLocation) -> Iterator[_Claim]:
    """Lock the output.

    The kernel releases the lock of a killed process. Its lock file stays, also if a run
    leaves the output torn, and shows that to the next run.
    """
    path = output.sibling(output.name + CLAIM_SUFFIX).path
    while True:
        torn = path.exists()
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise OutputClaimed(output.uri, "another process") from error
        # The previous owner may have removed the file that we opened.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                break
        os.close(handle)
    claim = _Claim(torn)
    try:
        yield claim
    finally:
        if not claim.torn:
            path.unlink()
        os.close(handle)


def _publish(
    output: LocalLocation, order: PublishOrder, claim: _Claim, published: PublishedManifest | None
) -> Published | Skipped:
    claim.torn = claim.torn and published is None and output.path.exists()
    order.check_current()
    if skipped := order.skipped(output.uri, published):
        return skipped
    if published is None and output.path.exists() and not (claim.torn or order.overwrite):
        # This is a person's disk, not an output bucket: only an output that echodrop left torn may
        # be deleted.
        raise OutputConflict(output.uri, str(order.content), "an output without a manifest")
    for stale in output.path.parent.glob(f".partial-*-{glob.escape(output.name)}"):
        durable_files.remove(stale)
    beside, manifest_beside = durable_files.partial(output.path), durable_files.partial(output.path)
    try:
        if order.encode_zarr is not None:
            entry, verification = _build_zarr(output, order, order.encode_zarr, beside)
        else:
            assert order.write_netcdf is not None  # noqa: S101 - see PublishOrder
            entry, verification = _build_netcdf(output, order, order.write_netcdf, beside)
        order.check_current()
        with order.watch.stage("commit"):
            manifest = order.describe(entry, verification, order.watch.seconds)
            durable_files.write_synced(manifest_beside, manifests.manifest_bytes(manifest))
            manifest_path = output.sibling(output.name + MANIFEST_SUFFIX).path
            # From here on only names change, which needs no disk space.
            claim.torn = True
            manifest_path.unlink(missing_ok=True)
            durable_files.swap(beside, output.path)
            manifest_beside.replace(manifest_path)
            claim.torn = False
            durable_files.sync_folder(output.path.parent)
    finally:
        durable_files.remove(beside)
        durable_files.remove(manifest_beside)
    return Published(output.uri, manifest)


def _build_zarr(
    output: LocalLocation, order: PublishOrder, encode: EncodeZarr, beside: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    def read(name: str) -> bytes | None:
        found = output.path / name
        return found.read_bytes() if found.is_file() else None

    family = (family_unlike(read) or 0) if output.path.exists() else None
    written = WrittenStore()
    store = durable_files.StoreFolder(beside)

    def put(item: EncodedObject) -> None:
        written.add(item.key, item.body, keep=item.keep)
        store.write(item.key, item.body)
        order.progress("encode", item.fraction)

    with order.stage("encode"):
        for key, body in encode(family, put).items():
            put(EncodedObject(key, body, keep=True))
    with order.stage("publish"):
        store.sync()
    with order.stage("verify"):
        check = ZarrVerification(output.uri, written, order.echodata, order.verify)
        verification = check.read_back(FolderReadBack(beside), etags={})
    return manifests.described_store(written, family or 0), verification


def _build_netcdf(
    output: LocalLocation, order: PublishOrder, write: WriteNetcdf, beside: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    with order.stage("encode"):
        write(beside)
    with order.stage("publish"), beside.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with order.stage("verify"):
        verification = verify_netcdf(output.uri, beside, order.echodata, mode=order.verify)
    return manifests.described_file(beside.stat().st_size, digest), verification

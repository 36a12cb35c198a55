"""Publish to a local folder: built beside the output, synced, and renamed into place."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import manifest as manifests
from flows.locations import LocalLocation
from flows.object_store import Listed
from flows.outcomes import AccessDenied, OutputClaimed, OutputConflict
from flows.publication import Published as PublishedOutput
from flows.publication import PublishOrder, Skipped
from flows.publish_decision import Published, decide
from flows.stopwatch import Stopwatch
from flows.verification import verify_netcdf
from flows.zarr_documents import codec_family_of
from flows.zarr_verification import ZarrVerification

CLAIM_SUFFIX = ".claim.json"


@dataclass(frozen=True)
class FolderReadBack:
    """A Zarr store in a folder; it has no entity tags."""

    root: Path

    def list(self) -> dict[str, Listed]:
        """See `flows.zarr_verification.ReadBack`."""
        return {
            path.relative_to(self.root).as_posix(): Listed(path.stat().st_size, "")
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `flows.zarr_verification.ReadBack`."""
        return {key: path.read_bytes() for key in keys if (path := self.root / key).is_file()}


def read_published(output: LocalLocation) -> Published | None:
    """What the manifest at an output says, None where there is none that is valid."""
    place = output.sibling(output.name + manifests.MANIFEST_SUFFIX)
    try:
        body = place.path.read_bytes()
        return Published(manifests.read_manifest(body, place.uri), hashlib.sha256(body).hexdigest())
    except (FileNotFoundError, manifests.ManifestInvalidError):
        return None


def publish_to_folder(output: LocalLocation, order: PublishOrder) -> PublishedOutput | Skipped:
    """Publish an output, or find that there is nothing to do.

    Raises:
        OutputClaimed: another process is at it.
        OutputConflict: it is published from something else, or was not written
            by echodrop, and `overwrite` is off.
        OutputMismatch: it did not read back as it was encoded.
        AccessDenied: the folder cannot be written to.
    """
    try:
        output.path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(output) as torn:
            return _publish(output, order, torn=torn)
    except PermissionError as error:
        raise AccessDenied(output.uri, error.strerror or "permission") from error


@contextlib.contextmanager
def _lock(output: LocalLocation) -> Iterator[bool]:
    """Hold the output; tells whether its last holder was killed.

    The kernel releases the lock of a killed process, and the file that it left
    says that it was.
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
        # The holder before us may have removed the file that we opened.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                break
        os.close(handle)
    try:
        yield torn
    finally:
        path.unlink()
        os.close(handle)


def _publish(
    output: LocalLocation, order: PublishOrder, *, torn: bool
) -> PublishedOutput | Skipped:
    published = read_published(output)
    order.check_current()
    decision = decide(
        output.uri,
        order.content,
        overwrite=order.overwrite,
        owner=order.owner,
        at_start=order.manifest_at_start,
        now=published,
    )
    if decision == "skip":
        return Skipped(output.uri, f"{order.content} is already published")
    if published is None and output.path.exists() and not (torn or order.overwrite):
        # A person's disk is no output bucket: only what a killed run of ours
        # left behind is garbage.
        raise OutputConflict(output.uri, str(order.content), "something without a manifest")
    for stale in output.path.parent.glob(f".partial-*-{glob.escape(output.name)}"):
        _remove(stale)
    watch = Stopwatch()
    beside = _partial(output.path)
    try:
        if order.encode_zarr is not None:
            entry, verification = _build_zarr(output, order, beside, watch)
        else:
            entry, verification = _build_netcdf(output, order, beside, watch)
        order.check_current()
        with watch.stage("commit"):
            manifest_path = output.sibling(output.name + manifests.MANIFEST_SUFFIX).path
            manifest_path.unlink(missing_ok=True)
            _swap(beside, output.path)
            manifest = order.describe(entry, verification, watch.seconds)
            _write_synced(_partial(output.path), manifests.manifest_bytes(manifest)).replace(
                manifest_path
            )
            _sync_folder(output.path.parent)
    finally:
        _remove(beside)
    return PublishedOutput(output.uri, manifest)


def _build_zarr(
    output: LocalLocation, order: PublishOrder, beside: Path, watch: Stopwatch
) -> tuple[dict[str, Any], dict[str, Any]]:
    assert order.encode_zarr is not None  # noqa: S101 - the caller chose this way by it
    family = _codec_family(output.path)
    with watch.stage("encode"):
        order.progress("encode", 0.0)
        encoded = order.encode_zarr(family)
    with watch.stage("publish"):
        order.progress("publish", 0.0)
        _write_store(beside, encoded)
    with watch.stage("verify"):
        order.progress("verify", 0.0)
        check = ZarrVerification(output.uri, encoded, order.echodata, order.verify)
        check.decode()
        verification = check.read_back(FolderReadBack(beside), etags={})
    entry = {
        "codec_family": family,
        "objects": len(encoded),
        "bytes": sum(map(len, encoded.values())),
        "sha256": manifests.store_checksum(encoded),
    }
    return entry, verification


def _build_netcdf(
    output: LocalLocation, order: PublishOrder, beside: Path, watch: Stopwatch
) -> tuple[dict[str, Any], dict[str, Any]]:
    assert order.write_netcdf is not None  # noqa: S101 - the caller chose this way by it
    with watch.stage("encode"):
        order.progress("encode", 0.0)
        order.write_netcdf(beside)
    with watch.stage("publish"):
        order.progress("publish", 0.0)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    with watch.stage("verify"):
        order.progress("verify", 0.0)
        verification = verify_netcdf(output.uri, beside, order.echodata, mode=order.verify)
    entry = {
        "codec_family": None,
        "objects": 1,
        "bytes": beside.stat().st_size,
        "sha256": digest,
    }
    return entry, verification


def _codec_family(path: Path) -> int:
    """The family that readers of what is there cannot decode."""
    for name in ("zarr.json", ".zmetadata"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
            return 1 - codec_family_of((path / name).read_bytes())
    return 0


def _write_store(root: Path, objects: Mapping[str, bytes]) -> None:
    folders = {root, *((root / key).parent for key in objects)}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for key, body in objects.items():
        _write_synced(root / key, body)
    for folder in folders:
        _sync_folder(folder)


def _write_synced(path: Path, body: bytes) -> Path:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    return path


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(new: Path, final: Path) -> None:
    """Rename into place. A folder cannot be renamed over another: the old one steps aside."""
    if not final.is_dir():
        new.replace(final)
        return
    aside = _partial(final)
    final.replace(aside)
    new.replace(final)
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _partial(final: Path) -> Path:
    """A name of its own beside the output, with the output's suffix."""
    return final.with_name(f".partial-{uuid.uuid4().hex}-{final.name}")

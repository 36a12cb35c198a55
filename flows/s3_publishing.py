"""Publish to S3 so that nothing incomplete can ever be opened.

The order of the steps, and what each crash leaves behind, stand in
docs/decisions/publish-protocol.md.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from flows import manifest as manifests
from flows.claims import LEASE_SECONDS, S3Claim
from flows.failure_report import FAILURE_SUFFIX
from flows.locations import S3Location
from flows.object_store import Listed, ObjectStore, error_code, in_parallel
from flows.outcomes import AccessDenied, ClaimLost, OutputMismatch, SourceChanged, Superseded
from flows.publication import Published as PublishedOutput
from flows.publication import PublishOrder, Skipped
from flows.publish_decision import Published, decide
from flows.range_readers import S3Reader
from flows.source import download
from flows.source_version import SourceVersion
from flows.stopwatch import Stopwatch
from flows.verification import verify_netcdf
from flows.zarr_documents import codec_family_of
from flows.zarr_layers import Layers, hidden_first, is_metadata, layers_of
from flows.zarr_verification import ZarrVerification

CLAIM_SUFFIX = ".claim.json"

_FAMILY_OF_NEW = 0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class S3ReadBack:
    """A Zarr store in S3 as its readers see it."""

    store: ObjectStore
    root: str

    def list(self) -> dict[str, Listed]:
        """See `flows.zarr_verification.ReadBack`."""
        return {
            key.removeprefix(self.root): entry for key, entry in self.store.list(self.root).items()
        }

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `flows.zarr_verification.ReadBack`."""
        found = in_parallel(lambda key: (key, self.store.get(self.root + key)), keys)
        return {key: stored.body for key, stored in found if stored is not None}


def read_published(store: ObjectStore, output: S3Location) -> Published | None:
    """What the manifest at an output says, None where there is none that is valid."""
    place = output.sibling(output.name + manifests.MANIFEST_SUFFIX)
    found = store.get(place.key)
    if found is None:
        return None
    try:
        return Published(manifests.read_manifest(found.body, place.uri), found.etag)
    except manifests.ManifestInvalidError as error:
        _log.warning("taken for unpublished: %s", error)
        return None


def publish_to_s3(
    store: ObjectStore,
    output: S3Location,
    order: PublishOrder,
    *,
    lease_seconds: float = LEASE_SECONDS,
) -> PublishedOutput | Skipped:
    """Publish an output, or find that there is nothing to do.

    Raises:
        OutputClaimed: another live run is at it; later it may be free.
        ClaimLost: another run took it over meanwhile.
        OutputConflict: it is published from something else and `overwrite` is off.
        OutputMismatch: it did not read back as it was encoded; it was removed.
        Superseded: the source was replaced meanwhile; what was put is removed.
        AccessDenied: the bucket refuses to be written.
    """
    claim = S3Claim(
        store,
        output.key + CLAIM_SUFFIX,
        output=output.uri,
        owner=order.owner,
        source={"uri": order.content.source, "version": str(order.content.version)},
        lease_seconds=lease_seconds,
    )
    try:
        with claim:
            publication = _S3Publication(store, output, order, claim)
            return publication.run()
    except ClientError as error:
        status, code = error_code(error)
        if status in {401, 403} or code == "NoSuchBucket":
            raise AccessDenied(output.uri, str(error)) from error
        raise


class _S3Publication:
    """One attempt, under a claim that is held."""

    def __init__(
        self, store: ObjectStore, output: S3Location, order: PublishOrder, claim: S3Claim
    ) -> None:
        self._store = store
        self._output = output
        self._order = order
        self._claim = claim
        self._manifest_key = output.key + manifests.MANIFEST_SUFFIX
        self._failure_key = output.key + FAILURE_SUFFIX
        self._root = f"{output.key}/"
        self._watch = Stopwatch()
        self._encoded: tuple[int, dict[str, bytes]] | None = None
        # Whole keys that this attempt has put or taken charge of, for cleaning up.
        self._touched: set[str] = set()

    def run(self) -> PublishedOutput | Skipped:
        with ThreadPoolExecutor(3) as pool:
            # Without the slash: the report of an earlier failure is listed along.
            listing = pool.submit(self._store.list, self._output.key)
            current = pool.submit(self._order.check_current)
            known = pool.submit(read_published, self._store, self._output)
            if self._order.manifest_at_start is None and self._claim.previous is None:
                # Most outputs are new: while the store answers, encode for one.
                self._encode(_FAMILY_OF_NEW)
            published = known.result()
            listed = set(listing.result())
            old = {key for key in listed if key.startswith(self._root)}
            current.result()
        decision = decide(
            self._output.uri,
            self._order.content,
            overwrite=self._order.overwrite,
            owner=self._order.owner,
            at_start=self._order.manifest_at_start,
            now=published,
        )
        if decision == "skip":
            return Skipped(self._output.uri, f"{self._order.content} is already published")
        try:
            if self._order.encode_zarr is not None:
                entry, verification = self._publish_zarr(old, hide=bool(old or published))
            else:
                entry, verification = self._publish_netcdf()
            self._order.progress("manifest", 0.0)
            manifest = self._order.describe(entry, verification, self._watch.seconds)
            if self._failure_key in listed:
                # Ahead of the manifest: what is published was never left in quarantine.
                self._order.release()
                self._store.delete([self._failure_key])
            self._commit(manifests.manifest_bytes(manifest))
        except ClaimLost:
            # All that is there belongs to the other run by now.
            raise
        except BaseException:
            self._clean_up()
            raise
        return PublishedOutput(self._output.uri, manifest)

    def _publish_zarr(self, old: set[str], *, hide: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        order, root = self._order, self._root
        family = self._codec_family(old)
        encoded = self._encode(family)
        layers = layers_of(encoded)
        check = ZarrVerification(self._output.uri, encoded, order.echodata, order.verify)
        with self._watch.stage("publish"):
            leftovers = old - {root + key for key in encoded}
            self._touched = old | {root + key for key in encoded}
            if hide:
                self._hide(old)
            self._put({key: b"" for key in leftovers if not is_metadata(key)})
            etags = self._put({root + key: body for key, body in layers.arrays.items()}, tell=True)
        with ThreadPoolExecutor(1) as pool:
            # What follows is a few requests that wait for each other: time to decode.
            decoded = pool.submit(check.decode)
            with self._watch.stage("publish"):
                etags |= self._let_open(layers)
            with self._watch.stage("verify"):
                order.progress("verify", 0.0)
                verification = check.read_back(
                    S3ReadBack(self._store, root),
                    {key.removeprefix(root): etag for key, etag in etags.items()},
                    leftovers=[key.removeprefix(root) for key in leftovers],
                )
                decoded.result()
                self._store.delete(leftovers)
        entry = {
            "codec_family": family,
            "objects": len(encoded),
            "bytes": sum(map(len, encoded.values())),
            "sha256": manifests.store_checksum(encoded),
        }
        return entry, verification

    def _let_open(self, layers: Layers) -> dict[str, str]:
        """Put the groups' metadata and then the root's, under a claim that is sure."""
        with ThreadPoolExecutor(2) as pool:
            fence = pool.submit(self._claim.fence)
            current = pool.submit(self._order.check_current)
            etags = self._put({self._root + key: body for key, body in layers.groups.items()})
            fence.result()
            current.result()
        return etags | self._put({self._root + key: body for key, body in layers.root.items()})

    def _encode(self, family: int) -> dict[str, bytes]:
        """The store in this codec family, encoded once."""
        encode = self._order.encode_zarr
        if encode is None:
            return {}
        if self._encoded is None or self._encoded[0] != family:
            self._encoded = None
            with self._watch.stage("encode"):
                self._order.progress("encode", 0.0)
                self._encoded = family, encode(family)
        return self._encoded[1]

    def _publish_netcdf(self) -> tuple[dict[str, Any], dict[str, Any]]:
        order = self._order
        assert order.write_netcdf is not None  # noqa: S101 - the caller chose this way by it
        path = order.scratch / self._output.name
        with self._watch.stage("encode"):
            order.progress("encode", 0.0)
            order.write_netcdf(path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        with self._watch.stage("publish"):
            order.progress("publish", 0.0)
            if self._claim.previous is not None:
                self._store.abort_uploads(self._output.key)
            self._claim.fence()
            order.check_current()
            self._store.delete([self._manifest_key])
            self._touched = {self._output.key}
            etag = self._store.put_file(self._output.key, path)
        with self._watch.stage("verify"):
            order.progress("verify", 0.0)
            size = path.stat().st_size
            path.unlink()
            self._read_back(path, SourceVersion(etag), digest)
            verification = verify_netcdf(self._output.uri, path, order.echodata, mode=order.verify)
            path.unlink()
        return {"codec_family": None, "objects": 1, "bytes": size, "sha256": digest}, verification

    def _read_back(self, path: Path, version: SourceVersion, digest: str) -> None:
        reader = S3Reader(self._store.client, self._output)
        try:
            found = download(reader, self._output, path, wanted=version)
        except (FileNotFoundError, Superseded, SourceChanged) as error:
            raise OutputMismatch(self._output.uri, f"cannot be read back: {error}") from error
        if found.sha256 != digest:
            raise OutputMismatch(self._output.uri, "reads back as other bytes than were put")

    def _codec_family(self, old: set[str]) -> int:
        """The family that no reader of what was openable here can decode."""
        for name in ("zarr.json", ".zmetadata"):
            if self._root + name in old:
                root = self._store.get(self._root + name)
                if root is not None:
                    try:
                        family = 1 - codec_family_of(root.body)
                    except ValueError:
                        # Not a store of ours; any family differs from it or is as good.
                        family = 1
                    # Whoever takes over after the root is gone must not fall
                    # back into the family of those readers.
                    self._claim.note(codec_family=family)
                    return family
        family = int((self._claim.previous or {}).get("codec_family", _FAMILY_OF_NEW))
        if family:
            self._claim.note(codec_family=family)
        return family

    def _hide(self, old: set[str]) -> None:
        """Make what is there unopenable: manifest, root, then everything below."""
        self._claim.fence()
        self._store.delete([self._manifest_key])
        root, others = hidden_first(key.removeprefix(self._root) for key in old)
        self._store.delete([self._root + key for key in root])
        self._store.delete([self._root + key for key in others])

    def _put(self, objects: Mapping[str, bytes], *, tell: bool = False) -> dict[str, str]:
        total = sum(map(len, objects.values())) or 1
        done = 0

        def put(key: str) -> tuple[str, str]:
            nonlocal done
            self._claim.check()
            etag = self._store.put(key, objects[key])
            if tell:
                done += len(objects[key])
                self._order.progress("publish", done / total)
            return key, etag

        return dict(in_parallel(put, objects))

    def _commit(self, body: bytes) -> None:
        """Write the manifest, unless another run has written one."""
        with self._watch.stage("commit"):
            try:
                self._store.put(self._manifest_key, body, IfNoneMatch="*")
            except ClientError as error:
                if error_code(error)[0] != 412:
                    raise
                found = self._store.get(self._manifest_key)
                # Our own put, sent again after its answer was lost, is no conflict.
                if found is None or found.body != body:
                    raise ClaimLost(self._output.uri) from error

    def _clean_up(self) -> None:
        """Leave nothing that opens, and nothing at all where the store lets us."""
        if not self._touched:
            return
        try:
            # What a run has lost it must not touch.
            self._claim.fence()
            root, _ = hidden_first(key.removeprefix(self._root) for key in self._touched)
            self._store.delete([self._root + key for key in root])
            self._store.delete(self._touched)
        # BLE001: the fault that brought us here is the one to tell; what is left
        # has no manifest, and no root unless the store refuses even that.
        except Exception as error:  # noqa: BLE001
            _log.warning("%s: left-overs not removed: %s", self._output.uri, error)

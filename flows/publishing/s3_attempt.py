"""One attempt to publish an output to S3 under its claim; used for Zarr and netCDF."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from flows.core.locations import MANIFEST_SUFFIX, S3Location
from flows.core.outcomes import OutputMismatch, SourceChanged, Superseded
from flows.core.source_version import SourceVersion
from flows.encoding.encoded_chunks import EncodedChunks, EncodedObject
from flows.encoding.written_store import WrittenStore
from flows.encoding.zarr_layers import hidden_first, is_metadata
from flows.publishing.claims import S3Claim
from flows.publishing.manifest import described_file
from flows.publishing.publication import PublishOrder, WriteNetcdf
from flows.publishing.verification import verify_netcdf
from flows.stores.download import download
from flows.stores.object_store import ObjectStore
from flows.stores.sources import S3Source

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass
class S3Attempt:
    """One attempt to publish an output.

    Attributes:
        ahead: encodes a new output, which has no old readers, while the claim is taken.
        touched: full keys that this attempt must delete if it fails; empty while the
            old output is unchanged.
    """

    store: ObjectStore
    output: S3Location
    order: PublishOrder
    claim: S3Claim
    ahead: EncodedChunks[dict[str, bytes]] | None = None
    touched: set[str] = field(default_factory=set)

    @property
    def manifest_key(self) -> str:
        """The manifest's key."""
        return self.output.key + MANIFEST_SUFFIX

    @property
    def root(self) -> str:
        """The prefix of a store's keys."""
        return f"{self.output.key}/"

    def withdraw(self) -> None:
        """Delete the manifest: from then on this attempt must delete the old output if it fails.

        An attempt that is stopped before this leaves the old output unchanged.

        Raises:
            ClaimLost: another run has the claim.
        """
        self.claim.fence()
        self.store.delete([self.manifest_key])

    def put(self, objects: Mapping[str, bytes], requests: Executor) -> dict[str, str]:
        """Put objects by their full keys in parallel; return their entity tags.

        Raises:
            ClaimLost: the claim is lost, or too old to rely on.
        """
        return dict(requests.map(lambda key: (key, self._put_one(key, objects[key])), objects))

    def put_chunks(
        self, chunks: EncodedChunks[T], written: WrittenStore, requests: Executor
    ) -> dict[str, Future[str]]:
        """Put arrays below the root while they are encoded; return the puts by full key.

        Their results are entity tags. The metadata of an array is put when its chunks are stored.

        Raises:
            ClaimLost: the claim is lost, or too old to rely on.
        """
        failed = threading.Event()

        def put_one(item: EncodedObject, before: Sequence[Future[str]]) -> str:
            key = self.root + item.key
            try:
                for chunk in before:
                    chunk.result()
                etag = self._put_one(key, item.body)
            except BaseException:
                failed.set()
                raise
            finally:
                # Also after a failed put: the encoder may wait for this memory, and we for the
                # encoder.
                chunks.release(item)
            self.order.progress("publish", item.fraction)
            return etag

        puts: dict[str, Future[str]] = {}
        for item in chunks:
            if failed.is_set():
                wait_for(puts)
            written.add(item.key, item.body, keep=item.keep)
            self.touched.add(self.root + item.key)
            key, before = self.root + item.key, []
            if is_metadata(key):
                array = key.rpartition("/")[0] + "/"
                # They are ahead of it in the pool, so its wait for them ends.
                before = [put for other, put in puts.items() if other.startswith(array)]
            puts[key] = requests.submit(put_one, item, before)
        return puts

    def _put_one(self, key: str, body: bytes) -> str:
        self.claim.check()
        return self.store.put(key, body)

    def clean_up(self) -> None:
        """Delete what this attempt has written, first the objects that open it."""
        if not self.touched:
            return
        try:
            # A run that has lost its claim must not delete anything.
            self.claim.fence()
            root, _ = hidden_first(key.removeprefix(self.root) for key in self.touched)
            self.store.delete([self.root + key for key in root])
            self.store.delete(self.touched)
        # BLE001: the earlier fault is the one to report. The remaining objects have no manifest,
        # and no root unless its deletion failed.
        except Exception as error:  # noqa: BLE001
            _log.warning("%s: incomplete output not deleted: %s", self.output.uri, error)


def wait_for(puts: Mapping[str, Future[str]]) -> dict[str, str]:
    """The entity tags of these puts; raises what the first failed one raised."""
    return {key: put.result() for key, put in puts.items()}


def put_netcdf(attempt: S3Attempt, write: WriteNetcdf) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put the file and verify it; return the manifest's entries `output` and `verification`.

    The old file is readable until the new one replaces it.

    Raises:
        ClaimLost, Superseded: raised before anything was changed.
        OutputMismatch: the file read back differs from the file written.
    """
    order, store = attempt.order, attempt.store
    key = attempt.output.key
    # Not the key's name, which may be too long for a file or have a backslash.
    path = order.scratch / "output.nc"
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

"""Publishes a Zarr store to S3: hundreds of objects, in an order that opens the store last."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from flows.encoding.codec_families import family_unlike
from flows.encoding.encoded_chunks import EncodedChunks
from flows.encoding.written_store import WrittenStore
from flows.encoding.zarr_layers import Layers, hidden_first, is_metadata, layers_of
from flows.publishing.manifest import described_store
from flows.publishing.publication import EncodeZarr
from flows.publishing.s3_attempt import S3Attempt, wait_for
from flows.publishing.zarr_verification import ZarrVerification
from flows.stores.object_store import ObjectEntry, ObjectStore
from flows.stores.parallel_requests import CONNECTIONS, request_pool


@dataclass(frozen=True)
class S3ReadBack:
    """A Zarr store in S3 as its readers see it."""

    store: ObjectStore
    root: str
    requests: Executor

    def list(self) -> dict[str, ObjectEntry]:
        """See `flows.publishing.zarr_verification.ReadBack`."""
        return {
            key.removeprefix(self.root): entry for key, entry in self.store.list(self.root).items()
        }

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `flows.publishing.zarr_verification.ReadBack`."""
        found = self.requests.map(lambda key: (key, self.store.get(self.root + key)), keys)
        return {key: stored.body for key, stored in found if stored is not None}


def put_zarr(
    attempt: S3Attempt, encode: EncodeZarr, listed: set[str], *, is_published: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encode a store, put and verify it; return the manifest's entries `output` and `verification`.

    `listed` has the full keys of the old output, its manifest among them.

    Raises:
        ClaimLost: another run took over the output.
        Superseded: the source was replaced in the meantime.
        OutputMismatch: the data read back differs from the data encoded.
    """
    order, root = attempt.order, attempt.root
    old = {key for key in listed if key.startswith(root)}
    family = _codec_family(attempt, old, is_published=is_published)
    written = WrittenStore()
    # Closed before anything is cleaned up, so that no put arrives after that.
    with ThreadPoolExecutor(1) as thread, request_pool(CONNECTIONS) as requests:
        chunks = attempt.ahead
        if chunks is None or family is not None:
            if chunks is not None:
                chunks.cancel()
            order.progress("encode", 0.0)
            chunks = EncodedChunks(functools.partial(encode, family))
        try:
            with order.watch.stage("publish"):
                if old or attempt.manifest_key in listed:
                    # What cannot be encoded, as by wrong parameters, leaves the old output as it is.
                    chunks.begun()
                    attempt.withdraw()
                attempt.touched = set(old)
                _hide(attempt, old)
                puts = attempt.put_chunks(chunks, written, requests)
                documents = chunks.result()
        finally:
            # The file that it reads is closed soon.
            chunks.cancel()
        # Most of this wait has passed while chunks were put.
        order.watch.seconds["encode"] = chunks.seconds
        for key, body in documents.items():
            written.add(key, body, keep=True)
        new = {root + key for key in written.digests}
        leftovers = old - new
        attempt.touched |= new
        read_back = S3ReadBack(attempt.store, root, requests)

        def check_arrays() -> ZarrVerification:
            check = ZarrVerification(attempt.output.uri, written, order.echodata, order.verify)
            wait_for(puts)
            check.read_arrays(read_back)
            return check

        # Requests follow one after another, which leaves time to decode.
        checked = thread.submit(check_arrays)
        with order.watch.stage("publish"):
            etags = wait_for(puts)
            attempt.put({key: b"" for key in leftovers if not is_metadata(key)}, requests)
            etags |= _put_metadata(attempt, layers_of(documents), requests)
        with order.stage("verify"):
            verification = checked.result().read_back(
                read_back,
                {key.removeprefix(root): etag for key, etag in etags.items()},
                leftovers=[key.removeprefix(root) for key in leftovers],
            )
            if leftovers:
                # If the claim was lost in the meantime, they belong to another run.
                attempt.claim.fence()
                attempt.store.delete(leftovers)
    return described_store(written, family or 0), verification


def _codec_family(attempt: S3Attempt, old: set[str], *, is_published: bool) -> int | None:
    """The family that readers of the previous output cannot decode; None without such an output."""
    family = attempt.claim.codec_family
    if family is not None and not is_published:
        # An earlier run has hidden the previous output, and has chosen the family.
        return family

    def read(name: str) -> bytes | None:
        key = attempt.root + name
        found = attempt.store.get(key) if key in old else None
        return found.body if found is not None else None

    family = family_unlike(read)
    if family is None:
        return 0 if old else None
    attempt.claim.store_codec_family(family)
    return family


def _hide(attempt: S3Attempt, old: set[str]) -> None:
    """Make the old output unopenable: first its root, then everything below."""
    for layer in hidden_first(key.removeprefix(attempt.root) for key in old):
        attempt.store.delete([attempt.root + key for key in layer])


def _put_metadata(attempt: S3Attempt, layers: Layers, requests: Executor) -> dict[str, str]:
    """Put the metadata of groups and then of the root, after renewing the claim."""

    def put(layer: Mapping[str, bytes]) -> dict[str, str]:
        return attempt.put({attempt.root + key: layer[key] for key in layer}, requests)

    fence = requests.submit(attempt.claim.fence)
    current = requests.submit(attempt.order.check_current)
    etags = put(layers.groups)
    fence.result()
    current.result()
    return etags | put(layers.root)

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
from flows.publishing.s3_attempt import S3Attempt
from flows.publishing.zarr_verification import ZarrVerification
from flows.stores.object_store import ObjectEntry, ObjectStore

_FAMILY_OF_NEW = 0


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


class ZarrPut:
    """Encodes a store and puts it, as part of one attempt."""

    def __init__(self, attempt: S3Attempt, encode: EncodeZarr) -> None:
        self._attempt = attempt
        self._encode = encode
        self._encoding: tuple[int, EncodedChunks[dict[str, bytes]]] | None = None

    def encode_for_new_output(self) -> None:
        """Begin to encode for a new output, as most are."""
        self._encoding_in(_FAMILY_OF_NEW)

    def cancel(self) -> None:
        """Stop encoding, if it has begun."""
        if self._encoding is not None:
            self._encoding[1].cancel()
            self._encoding = None

    def put(
        self, old: set[str], requests: Executor, *, withdraw: bool, published: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Put the store and verify it; return the manifest's entries `output` and `verification`.

        Args:
            old: full keys of the old output.
            requests: runs the parallel requests; closed before anything is cleaned up, so that
                no put arrives after that.
            withdraw: whether there may be a manifest to delete.
            published: whether the old output has a valid manifest.

        Raises:
            ClaimLost: another run took over the output.
            Superseded: the source was replaced in the meantime.
            OutputMismatch: the data read back differs from the data encoded.
        """
        attempt, order, root = self._attempt, self._attempt.order, self._attempt.root
        family = self._codec_family(old, published=published)
        written = WrittenStore()
        with attempt.watch.stage("publish"):
            chunks = self._encoding_in(family)
            if withdraw:
                attempt.withdraw()
            attempt.touched = set(old)
            self._hide(old)
            etags = attempt.put_chunks(chunks, written, requests)
            documents = chunks.result()
            # Most of this wait has passed while chunks were put.
            attempt.watch.seconds["encode"] = chunks.seconds
            for key, body in documents.items():
                written.add(key, body, keep=True)
            new = {root + key for key in written.digests}
            leftovers = old - new
            attempt.touched |= new
            attempt.put({key: b"" for key in leftovers if not is_metadata(key)}, requests)
        with ThreadPoolExecutor(1) as thread:
            # A few requests follow one after another, which leaves time to decode.
            check = thread.submit(
                ZarrVerification, attempt.output.uri, written, order.echodata, order.verify
            )
            with attempt.watch.stage("publish"):
                etags |= self._put_metadata(layers_of(documents), requests)
            with attempt.watch.stage("verify"):
                order.progress("verify", 0.0)
                verification = check.result().read_back(
                    S3ReadBack(attempt.store, root, requests),
                    {key.removeprefix(root): etag for key, etag in etags.items()},
                    leftovers=[key.removeprefix(root) for key in leftovers],
                )
                if leftovers:
                    # If the claim was lost in the meantime, they belong to another run.
                    attempt.claim.fence()
                    attempt.store.delete(leftovers)
        return described_store(written, family), verification

    def _codec_family(self, old: set[str], *, published: bool) -> int:
        """The family that readers of the previous output cannot decode."""
        attempt = self._attempt
        family = attempt.claim.codec_family
        if family is not None and not published:
            # An earlier run has hidden the previous output, and has chosen the family.
            return family

        def read(name: str) -> bytes | None:
            key = attempt.root + name
            found = attempt.store.get(key) if key in old else None
            return found.body if found is not None else None

        family = family_unlike(read)
        if family is None:
            return _FAMILY_OF_NEW
        attempt.claim.store_codec_family(family)
        return family

    def _encoding_in(self, family: int) -> EncodedChunks[dict[str, bytes]]:
        """Start an encoder of the store in this codec family."""
        if self._encoding is not None and self._encoding[0] != family:
            self.cancel()
        if self._encoding is None:
            self._attempt.order.progress("encode", 0.0)
            self._encoding = family, EncodedChunks(functools.partial(self._encode, family))
        return self._encoding[1]

    def _hide(self, old: set[str]) -> None:
        """Make the old output unopenable: first its root, then everything below."""
        attempt, prefix = self._attempt, self._attempt.root
        root, others = hidden_first(key.removeprefix(prefix) for key in old)
        attempt.store.delete([prefix + key for key in root])
        attempt.store.delete([prefix + key for key in others])

    def _put_metadata(self, layers: Layers, requests: Executor) -> dict[str, str]:
        """Put the metadata of arrays, of groups and then of the root, after renewing the claim."""
        attempt = self._attempt

        def put(layer: Mapping[str, bytes]) -> dict[str, str]:
            return attempt.put({attempt.root + key: layer[key] for key in layer}, requests)

        fence = requests.submit(attempt.claim.fence)
        current = requests.submit(attempt.order.check_current)
        etags = put(layers.arrays) | put(layers.groups)
        fence.result()
        current.result()
        return etags | put(layers.root)

"""What the ways of publishing to S3 share: one attempt at one output, under a claim that is held."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from flows.claims import S3Claim
from flows.encoded_chunks import EncodedChunks, EncodedObject
from flows.locations import S3Location
from flows.manifest import MANIFEST_SUFFIX
from flows.object_store import ObjectStore
from flows.parallel_requests import CONNECTIONS, in_parallel, request_pool
from flows.publication import PublishOrder
from flows.stopwatch import Stopwatch
from flows.written_store import WrittenStore
from flows.zarr_layers import hidden_first

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass
class S3Attempt:
    """One attempt to publish an output.

    Attributes:
        touched: whole keys that are this attempt's to remove if it comes to
            nothing; empty while what lies there is as it was found.
    """

    store: ObjectStore
    output: S3Location
    order: PublishOrder
    claim: S3Claim
    watch: Stopwatch = field(default_factory=Stopwatch)
    touched: set[str] = field(default_factory=set)

    @property
    def manifest_key(self) -> str:
        """The manifest's key."""
        return self.output.key + MANIFEST_SUFFIX

    @property
    def root(self) -> str:
        """What the keys of a store begin with."""
        return f"{self.output.key}/"

    def withdraw(self) -> None:
        """Delete the manifest: what it vouched for is this attempt's to remove from then on.

        Stopped up to here, an attempt leaves the old output as it was.

        Raises:
            ClaimLost: it is another run's by now.
        """
        self.claim.fence()
        self.store.delete([self.manifest_key])

    def put(self, objects: Mapping[str, bytes]) -> dict[str, str]:
        """Put objects by their whole keys; their entity tags.

        Raises:
            ClaimLost: the claim is known to be lost, or too old to be sure of.
        """
        return dict(in_parallel(lambda key: (key, self._put_one(key, objects[key])), objects))

    def put_chunks(self, chunks: EncodedChunks[T], written: WrittenStore) -> dict[str, str]:
        """Put chunks below the root while they are encoded; their entity tags by whole key.

        Raises:
            ClaimLost: the claim is known to be lost, or too old to be sure of.
        """
        failed = threading.Event()

        def put_one(item: EncodedObject) -> tuple[str, str]:
            key = self.root + item.key
            try:
                etag = self._put_one(key, item.body)
            except BaseException:
                failed.set()
                raise
            finally:
                # Of a failed put, too: the encoder may be waiting for this room, and we for it.
                chunks.release(item)
            self.order.progress("publish", item.fraction)
            return key, etag

        puts: list[Future[tuple[str, str]]] = []
        with request_pool(CONNECTIONS) as pool:
            for item in chunks:
                if failed.is_set():
                    break
                written.add(item.key, item.body, keep=item.keep)
                self.touched.add(self.root + item.key)
                puts.append(pool.submit(put_one, item))
            return dict(put.result() for put in puts)

    def _put_one(self, key: str, body: bytes) -> str:
        self.claim.check()
        return self.store.put(key, body)

    def clean_up(self) -> None:
        """Leave nothing that opens, and nothing at all where the store lets us."""
        if not self.touched:
            return
        try:
            # What a run has lost it must not touch.
            self.claim.fence()
            root, _ = hidden_first(key.removeprefix(self.root) for key in self.touched)
            self.store.delete([self.root + key for key in root])
            self.store.delete(self.touched)
        # BLE001: the fault that brought us here is the one to tell; what is left
        # has no manifest, and no root unless the store refuses even that.
        except Exception as error:  # noqa: BLE001
            _log.warning("%s: left-overs not removed: %s", self.output.uri, error)

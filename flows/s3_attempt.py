"""What the ways of publishing to S3 share: one attempt at one output, under a claim that is held."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.claims import S3Claim
from flows.locations import S3Location
from flows.manifest import MANIFEST_SUFFIX
from flows.object_store import ObjectStore
from flows.parallel_requests import in_parallel
from flows.publication import PublishOrder
from flows.stopwatch import Stopwatch
from flows.zarr_layers import hidden_first

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

    def put(self, objects: Mapping[str, bytes], *, tell: bool = False) -> dict[str, str]:
        """Put objects by their whole keys; their entity tags. `tell`: show the progress.

        Raises:
            ClaimLost: the claim is known to be lost, or too old to be sure of.
        """
        total = sum(map(len, objects.values())) or 1
        done = 0

        def put_one(key: str) -> tuple[str, str]:
            nonlocal done
            self.claim.check()
            etag = self.store.put(key, objects[key])
            if tell:
                done += len(objects[key])
                self.order.progress("publish", done / total)
            return key, etag

        return dict(in_parallel(put_one, objects))

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

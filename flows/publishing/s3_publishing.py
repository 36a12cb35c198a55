"""Publishes to S3 so that an incomplete output can never be opened.

docs/decisions/publish-protocol.md describes the order of the steps, and what a crash
leaves after each.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from flows.core.locations import CLAIM_SUFFIX, FAILURE_SUFFIX, MANIFEST_SUFFIX, S3Location
from flows.core.outcomes import ClaimLost, OutputMismatch
from flows.encoding.encoded_chunks import EncodedChunks
from flows.publishing import manifest as manifests
from flows.publishing.claims import LEASE_SECONDS, S3Claim
from flows.publishing.publication import Published, PublishOrder, Skipped
from flows.publishing.publish_decision import PublishedManifest
from flows.publishing.s3_attempt import S3Attempt, put_netcdf
from flows.publishing.s3_zarr import put_zarr
from flows.stores.object_store import ObjectStore, error_code
from flows.stores.parallel_requests import request_pool

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class S3Output:
    """An output in a bucket."""

    store: ObjectStore
    location: S3Location
    lease_seconds: float = LEASE_SECONDS

    def published(self) -> PublishedManifest | None:
        """Its manifest; None if it is not valid or the output does not exist."""
        place = self.location.sibling(self.location.name + MANIFEST_SUFFIX)
        found = self.store.get(place.key)
        if found is None:
            return None
        try:
            published = PublishedManifest(
                manifests.read_manifest(found.body, place.uri), found.etag
            )
        except manifests.ManifestInvalidError as error:
            _log.warning("treated as unpublished: %s", error)
            return None
        if self.store.head(self.location.key + published.root_suffix) is None:
            _log.warning("treated as unpublished: %s: its output does not exist", place.uri)
            return None
        return published

    def publish(self, order: PublishOrder) -> Published | Skipped:
        """Publish it, or skip it if it is already published; a mismatch deletes the output.

        Raises:
            OutputClaimed: another live run is publishing it; a later retry may succeed.
            OutputConflict: it was published from another source and `overwrite` is off.
            OutputMismatch: the data read back differs from the data encoded.
            Superseded: the source was replaced in the meantime.
            ClaimLost: another run took over the claim in the meantime.
            ClientError: from the store; `flows.stores.errors` turns it into an outcome.
        """
        claim = S3Claim(
            self.store,
            self.location.key + CLAIM_SUFFIX,
            output=self.location.uri,
            owner=order.owner,
            source={"uri": order.content.source, "version": str(order.content.version)},
            lease_seconds=self.lease_seconds,
        )
        with contextlib.ExitStack() as stack:
            ahead = None
            if order.encode_zarr is not None and order.manifest_at_start is None:
                order.progress("encode", 0.0)
                ahead = EncodedChunks(functools.partial(order.encode_zarr, None))
                # The file that it reads is closed soon.
                stack.callback(ahead.cancel)
            stack.enter_context(claim)
            attempt = S3Attempt(self.store, self.location, order, claim, ahead)
            return _publish(attempt, self.published)


def _publish(
    attempt: S3Attempt, read_published: Callable[[], PublishedManifest | None]
) -> Published | Skipped:
    order, output = attempt.order, attempt.output
    with request_pool(3) as pool:
        # Without the slash, so that the manifest and a failure report are listed too.
        listing = pool.submit(attempt.store.list, output.key)
        current = pool.submit(order.check_current)
        known = pool.submit(read_published)
        published = known.result()
        listed = set(listing.result())
        current.result()
    if skipped := order.skipped(output.uri, published):
        return skipped
    try:
        try:
            entry, verification = _put(attempt, listed, is_published=published is not None)
        except OutputMismatch:
            # Objects that the claim's next owner has put are not a mismatch of this run.
            attempt.claim.fence()
            raise
        order.progress("manifest", 0.0)
        manifest = order.describe(entry, verification, order.watch.seconds)
        if (report := output.key + FAILURE_SUFFIX) in listed:
            # Before the manifest, so that a published source is never left in quarantine.
            order.release()
            attempt.store.delete([report])
        # Reading back takes minutes, so the claim's next owner may have changed the output.
        attempt.claim.fence()
    except ClaimLost:
        # All objects now belong to the other run.
        raise
    except BaseException:
        attempt.clean_up()
        raise
    # If this stops, the manifest may exist, so the output must stay.
    _commit(attempt, manifests.manifest_bytes(manifest))
    return Published(output.uri, manifest)


def _put(
    attempt: S3Attempt, listed: set[str], *, is_published: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put the output; return the manifest's entries `output` and `verification`."""
    order = attempt.order
    if order.encode_zarr is not None:
        return put_zarr(attempt, order.encode_zarr, listed, is_published=is_published)
    assert order.write_netcdf is not None  # noqa: S101 - one of the two is set, see PublishOrder
    return put_netcdf(attempt, order.write_netcdf)


def _commit(attempt: S3Attempt, body: bytes) -> None:
    """Write the manifest, unless another run has written one."""
    key = attempt.manifest_key
    with attempt.order.watch.stage("commit"):
        try:
            attempt.store.put(key, body, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error)[0] != 412:
                raise
            found = attempt.store.get(key)
            # It may be our own put, which was retried because its response was lost.
            if found is None or found.body != body:
                raise ClaimLost(attempt.output.uri) from error

"""Publish to S3 so that nothing incomplete can ever be opened.

The order of the steps, and what each crash leaves behind, stand in
docs/decisions/publish-protocol.md.
"""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import ClientError

from flows import manifest as manifests
from flows.claims import LEASE_SECONDS, S3Claim
from flows.failure_report import FAILURE_SUFFIX
from flows.locations import S3Location
from flows.object_store import ObjectStore, error_code
from flows.outcomes import ClaimLost, OutputMismatch
from flows.parallel_requests import request_pool
from flows.publication import CLAIM_SUFFIX, PublishOrder, Skipped
from flows.publication import Published as PublishedOutput
from flows.publish_decision import Published, decide
from flows.s3_attempt import S3Attempt
from flows.s3_netcdf import put_netcdf
from flows.s3_zarr import ZarrPut

_log = logging.getLogger(__name__)


def read_published(store: ObjectStore, output: S3Location) -> Published | None:
    """What the manifest at an output says, None where none is valid or the output is gone."""
    place = output.sibling(output.name + manifests.MANIFEST_SUFFIX)
    found = store.get(place.key)
    if found is None:
        return None
    try:
        published = Published(manifests.read_manifest(found.body, place.uri), found.etag)
    except manifests.ManifestInvalidError as error:
        _log.warning("taken for unpublished: %s", error)
        return None
    if store.head(output.key + published.opened_by) is None:
        _log.warning("taken for unpublished: %s: its output is gone", place.uri)
        return None
    return published


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
        ClientError: what the store said; `flows.named_ends` names it.
    """
    claim = S3Claim(
        store,
        output.key + CLAIM_SUFFIX,
        output=output.uri,
        owner=order.owner,
        source={"uri": order.content.source, "version": str(order.content.version)},
        lease_seconds=lease_seconds,
    )
    with claim:
        attempt = S3Attempt(store, output, order, claim)
        zarr = ZarrPut(attempt, order.encode_zarr) if order.encode_zarr is not None else None
        try:
            return _publish(attempt, zarr)
        finally:
            # However it ends: the encoder reads a file that is closed soon.
            if zarr is not None:
                zarr.cancel()


def _publish(attempt: S3Attempt, zarr: ZarrPut | None) -> PublishedOutput | Skipped:
    order, output = attempt.order, attempt.output
    with request_pool(3) as pool:
        # Without the slash: manifest and report of an earlier failure are listed along.
        listing = pool.submit(attempt.store.list, output.key)
        current = pool.submit(order.check_current)
        known = pool.submit(read_published, attempt.store, output)
        if zarr is not None and order.manifest_at_start is None and attempt.claim.previous is None:
            # Most outputs are new: while the store answers, encode for one.
            zarr.encode_as_new()
        published = known.result()
        listed = set(listing.result())
        current.result()
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
    try:
        try:
            entry, verification = _put(attempt, zarr, listed, is_published=published is not None)
        except OutputMismatch:
            # What an heir has put in the meantime is no mismatch of ours.
            attempt.claim.fence()
            raise
        order.progress("manifest", 0.0)
        manifest = order.describe(entry, verification, attempt.watch.seconds)
        if (report := output.key + FAILURE_SUFFIX) in listed:
            # Ahead of the manifest: what is published was never left in quarantine.
            order.release()
            attempt.store.delete([report])
        # Reading back takes minutes: what was verified may be an heir's by now.
        attempt.claim.fence()
    except ClaimLost:
        # All that is there belongs to the other run by now.
        raise
    except BaseException:
        attempt.clean_up()
        raise
    # Whatever stops this, the manifest may be there: then the output has to be.
    _commit(attempt, manifests.manifest_bytes(manifest))
    return PublishedOutput(output.uri, manifest)


def _put(
    attempt: S3Attempt, zarr: ZarrPut | None, listed: set[str], *, is_published: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest's entries `output` and `verification` of what was put."""
    if zarr is not None:
        old = {key for key in listed if key.startswith(attempt.root)}
        withdraw = bool(old) or attempt.manifest_key in listed
        return zarr.put(old, withdraw=withdraw, published=is_published)
    write = attempt.order.write_netcdf
    assert write is not None  # noqa: S101 - one of the two is set, see PublishOrder
    return put_netcdf(attempt, write)


def _commit(attempt: S3Attempt, body: bytes) -> None:
    """Write the manifest, unless another run has written one."""
    key = attempt.manifest_key
    with attempt.watch.stage("commit"):
        try:
            attempt.store.put(key, body, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error)[0] != 412:
                raise
            found = attempt.store.get(key)
            # Our own put, sent again after its answer was lost, is no conflict.
            if found is None or found.body != body:
                raise ClaimLost(attempt.output.uri) from error

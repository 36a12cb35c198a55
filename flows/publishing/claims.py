"""Claims: only one run at a time publishes to an output.

A claim is an object next to the output. A run takes it with a conditional put, which
fails if a claim exists (If-None-Match), and renews it while the run lives. Another run
may take it over (If-Match on the claim that it read) if it was not renewed for the
lease time, or if it belongs to an earlier attempt of the same flow run. Only the
store's clock determines its age: `Last-Modified` compared with the response's `Date`.

The claim also stores the codec family that readers of the previous output cannot
decode. A run that takes a claim over also takes over the family. A run that hides an
output and then fails leaves its claim, expired, for the next run.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from typing import Any, Self

from botocore.exceptions import ClientError

from flows.core.outcomes import ClaimLost, OutputClaimed
from flows.stores.object_store import ObjectStore, StoredObject, error_code

LEASE_SECONDS = 60.0

_log = logging.getLogger(__name__)


class S3Claim:
    """The exclusive right to publish to one output, held while the `with` block runs.

    Attributes:
        previous: the content of the claim that was taken over, if any.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        *,
        output: str,
        owner: str,
        source: dict[str, Any],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.previous: dict[str, Any] | None = None
        self._store = store
        self._key = key
        self._output = output
        self._lease = lease_seconds
        self._body: dict[str, Any] = {
            "owner": owner,
            # Distinguishes this attempt's claim from one of an earlier attempt of the same flow
            # run.
            "token": uuid.uuid4().hex,
            "source": source,
            "lease_seconds": lease_seconds,
        }
        self._etag = ""
        self._renewed = 0.0
        self._lost = False
        self._turn = threading.Lock()
        self._released = threading.Event()

    @property
    def codec_family(self) -> int | None:
        """The family stored by this run, or by the run whose claim it took over."""
        family: int | None = self._body.get("codec_family")
        return family

    def __enter__(self) -> Self:
        """Take the claim.

        Raises:
            OutputClaimed: a live run holds it.
        """
        self._take()
        threading.Thread(target=self._keep_renewing, name="claim", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._released.set()
        with self._turn:
            if self._lost:
                return
            try:
                if kind is not None and self.codec_family is not None:
                    self._body["lease_seconds"] = 0.0
                    self._put(IfMatch=f'"{self._etag}"')
                    return
                self._store.client.delete_object(
                    Bucket=self._store.bucket, Key=self._key, IfMatch=f'"{self._etag}"'
                )
            # BLE001: the run's outcome must not change; an unreleased claim expires.
            except Exception as failed:  # noqa: BLE001
                gone = isinstance(failed, ClientError) and error_code(failed)[0] in {404, 412}
                if not gone:
                    _log.warning("claim on %s not released: %s", self._output, failed)

    def store_codec_family(self, family: int) -> None:
        """Store the family in the claim for a run that may take it over; also renews the claim.

        Raises:
            ClaimLost: another run has taken it over.
        """
        with self._turn:
            self._body["codec_family"] = family
            self._renew()

    def fence(self) -> None:
        """Renew now, before a step that only the owner of the claim may do.

        Raises:
            ClaimLost: another run has taken it over.
        """
        with self._turn:
            self._renew()

    def check(self) -> None:
        """Raise ClaimLost if the claim is known to be lost or is too old; sends no request."""
        if self._lost or time.monotonic() - self._renewed > self._lease:
            raise ClaimLost(self._output)

    def _take(self) -> None:
        for _ in range(3):
            if self._put(IfNoneMatch="*"):
                return
            found = self._store.get(self._key)
            if found is None:
                # It was released in the meantime.
                continue
            holder = _parse(found.body)
            if holder.get("token") == self._body["token"]:
                # Our own put, which was retried because its response was lost.
                self._held(found.etag)
                return
            if not self._may_take_over(found, holder):
                raise OutputClaimed(self._output, str(holder.get("owner", "an unknown run")))
            # In the same put, so that a run killed right after it does not lose it.
            if holder.get("codec_family") in {0, 1}:
                self._body["codec_family"] = holder["codec_family"]
            if self._put(IfMatch=f'"{found.etag}"'):
                self.previous = holder
                return
        raise OutputClaimed(self._output, "another run, which was faster")

    def _may_take_over(self, found: StoredObject, holder: dict[str, Any]) -> bool:
        if holder.get("owner") == self._body["owner"]:
            return True
        # A store that is not S3 may keep half of a put whose sender was killed.
        lease = float(holder.get("lease_seconds", self._lease))
        return (found.store_time - found.last_modified).total_seconds() >= lease

    def _put(self, **condition: str) -> bool:
        body = json.dumps(self._body, sort_keys=True).encode()
        try:
            etag = self._store.put(self._key, body, **condition)
        except ClientError as error:
            status, code = error_code(error)
            if status == 412 or (status == 404 and code != "NoSuchBucket"):
                return False
            raise
        self._held(etag)
        return True

    def _held(self, etag: str) -> None:
        self._etag = etag
        self._renewed = time.monotonic()

    def _renew(self) -> None:
        if not self._lost and not self._put(IfMatch=f'"{self._etag}"'):
            found = self._store.get(self._key)
            if found is None or _parse(found.body).get("token") != self._body["token"]:
                self._lost = True
            else:
                self._held(found.etag)
        if self._lost:
            raise ClaimLost(self._output)

    def _keep_renewing(self) -> None:
        while not self._released.wait(self._lease / 3):
            with self._turn:
                if self._released.is_set():
                    return
                try:
                    self._renew()
                except ClaimLost:
                    return
                # BLE001: nothing catches an exception of this thread. The next attempt may succeed;
                # if none does, `check` ends the run when the lease expires.
                except Exception as error:  # noqa: BLE001
                    _log.warning("claim on %s not renewed: %s", self._output, error)


def _parse(body: bytes) -> dict[str, Any]:
    """The content of a claim; empty if it is not one of ours."""
    try:
        claim = json.loads(body)
    except ValueError:
        return {}
    return claim if isinstance(claim, dict) else {}

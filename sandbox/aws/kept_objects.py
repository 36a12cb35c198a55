"""Keeps moto's objects in a folder, because moto has them in memory alone.

Each key is one file with all its versions, delete markers and tags. It is written before
the request is answered, so an object survives the end of the process, even by SIGKILL.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from sandbox.parts.environments import REGION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class KeptObjects:
    """The folder, and what it has of each key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._s3: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        # Bucket, key: ids of the versions in its file.
        self._written: dict[tuple[str, str], list[str]] = {}
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Put all objects back into moto. No notification is sent."""
        for file in sorted(self._folder.glob("*/*.pickle")):
            # S301: this program has written it.
            bucket, key, versions, tags = pickle.loads(file.read_bytes())  # noqa: S301
            if bucket not in self._s3.buckets:
                self._s3.create_bucket(bucket, REGION)
            self._s3.buckets[bucket].keys.setlist(key, versions)
            for version in versions:
                if found := tags.get(version.version_id):
                    self._s3.tagger.tag_resource(version.arn, found)
            self._written[bucket, key] = [version.version_id for version in versions]

    def keeping(self, application: WSGIApplication) -> WSGIApplication:
        """The application, which writes what a successful request has changed."""

        def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            statuses: list[str] = []

            def start(status: str, *rest: Any) -> Any:  # noqa: ANN401 - as WSGI has it
                statuses.append(status)
                return start_response(status, *rest)

            answer = application(environ, start)
            changes = environ["REQUEST_METHOD"] not in {"GET", "HEAD"}
            if changes and statuses and statuses[0].startswith("2"):
                self._keep(urlsplit(environ["REQUEST_URI"]).path)
            return answer

        return serve

    def _keep(self, path: str) -> None:
        name, _, key = path.lstrip("/").partition("/")
        with self._lock:
            bucket = self._s3.buckets.get(name)
            if bucket is None:
                return
            if key:
                self._write(name, unquote(key))
                return
            # A request to the bucket may have deleted several keys, or have added delete markers.
            known = {key for of, key in self._written if of == name}
            for each in known | set(bucket.keys):
                if self._versions(name, each) != self._written.get((name, each)):
                    self._write(name, each)

    def _versions(self, bucket: str, key: str) -> list[str]:
        versions = self._s3.buckets[bucket].keys.getlist(key, [])
        return [version.version_id for version in versions]

    def _write(self, bucket: str, key: str) -> None:
        file = self._folder / bucket / f"{hashlib.sha256(key.encode()).hexdigest()}.pickle"
        versions = self._s3.buckets[bucket].keys.getlist(key, [])
        if not versions:
            file.unlink(missing_ok=True)
            self._written.pop((bucket, key), None)
            return
        tags = {
            version.version_id: self._s3.tagger.list_tags_for_resource(version.arn)["Tags"]
            for version in versions
            if hasattr(version, "arn")
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_bytes(pickle.dumps((bucket, key, versions, tags)))
        draft.replace(file)
        self._written[bucket, key] = [version.version_id for version in versions]

"""A file on a web server: its ranges, its state and what lies beside it.

fsspec's http file system does not show the version of each response (docs/decisions/s3fs.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import urllib3

from flows.core.locations import HttpLocation
from flows.core.outcomes import AccessDenied, SourceChanged, TransientFault
from flows.core.public_uri import public_lines
from flows.core.source_version import SourceVersion

BLOCK_BYTES = 1024 * 1024

# HTTP statuses of a missing file.
_GONE = frozenset({404, 410})

# Its lines about retries have the path with its query.
public_lines("urllib3.connectionpool")


@dataclass(frozen=True)
class SourceFacts:
    """The state of a file: its size in bytes and its time of change, each if known, and version."""

    size: int | None
    version: SourceVersion
    last_modified: datetime | None


@dataclass(frozen=True)
class Beginning(SourceFacts):
    """The answer to the first request.

    The body is the requested range, or the whole file if the server does not support ranges.
    """

    body: Iterator[bytes]


class HttpSource:
    """A file on a web server, read in ranges if the server supports them, else as one stream."""

    path: Path | None = None

    def __init__(self, location: HttpLocation, headers: dict[str, str]) -> None:
        self._location, self._given = location, headers
        self._url, self._uri = location.url, location.uri
        # With compressed transfer, ranges would not count the file's bytes.
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._pool = urllib3.PoolManager(
            maxsize=16,
            timeout=urllib3.Timeout(connect=10, read=60),
            retries=urllib3.Retry(
                total=6,
                backoff_factor=0.2,
                backoff_jitter=0.2,
                status_forcelist=(429, 500, 502, 503, 504),
                raise_on_status=False,
            ),
        )

    def begin(self, length: int) -> Beginning:
        """See `flows.stores.sources.S3Source`."""
        answer = self._get({"Range": f"bytes=0-{length - 1}"})
        if answer.status == 416:
            return Beginning(0, SourceVersion(), None, iter(()))
        self._refuse(answer)
        if answer.status == 206 and not self._facts(answer).version.is_known:
            # Without a version, ranges could come from two versions, so one response must have it
            # all.
            answer.close()
            answer = self._get({})
            self._refuse(answer)
        facts = self._facts(answer)
        if facts.size is None and not answer.headers.get("Transfer-Encoding"):
            cause = "the server sends no length, so a truncated file would not be detected"
            raise AccessDenied(self._uri, cause)
        body = answer.stream(BLOCK_BYTES)
        return Beginning(facts.size, facts.version, facts.last_modified, body)

    def current(self) -> SourceFacts | None:
        """See `flows.stores.sources.S3Source`.

        If the server does not support HEAD, or the URL is signed only for GET, this
        requests the first byte.
        """
        answer = self._head()
        return None if answer is None else self._facts(answer)

    def beside(self, stem: str, endings: Sequence[str]) -> set[str]:
        """See `flows.stores.sources.S3Source`; some servers answer with a page for any path."""

        def is_there(ending: str) -> bool:
            other = HttpSource(self._location.sibling(stem + ending), self._given)
            answer = other._head()
            return answer is not None and "html" not in answer.headers.get("Content-Type", "")

        with ThreadPoolExecutor(len(endings)) as threads:
            found = threads.map(is_there, endings)
            return {end for end, is_so in zip(endings, found, strict=True) if is_so}

    def _head(self) -> urllib3.BaseHTTPResponse | None:
        """The response with the file's headers, None if it does not exist."""
        answer = self._pool.request("HEAD", self._url, headers=self._headers)
        if answer.status != 200 and answer.status not in _GONE:
            answer = self._get({"Range": "bytes=0-0"})
            # The body may be the whole file; only the headers are needed.
            answer.close()
        if answer.status in _GONE:
            return None
        if answer.status != 416:
            self._refuse(answer)
        return answer

    def read(self, start: int, length: int, version: SourceVersion) -> bytes:
        """See `flows.stores.sources.S3Source`."""
        answer = self._get({"Range": f"bytes={start}-{start + length - 1}"})
        if answer.status in {404, 416}:
            raise SourceChanged(self._uri, str(version), f"HTTP status {answer.status}")
        self._refuse(answer)
        # Servers seldom support If-Match; the version in the response serves as well.
        found = self._facts(answer).version
        if answer.status != 206 or found != version:
            raise SourceChanged(self._uri, str(version), str(found))
        return answer.data

    def _get(self, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "GET", self._url, headers={**self._headers, **headers}, preload_content=False
        )

    def _refuse(self, answer: urllib3.BaseHTTPResponse) -> None:
        if answer.status in {200, 206}:
            return
        if answer.status in _GONE:
            raise FileNotFoundError(self._uri)
        if answer.status in {401, 403, 407}:
            raise AccessDenied(self._uri, f"HTTP status {answer.status}")
        if answer.status == 429 or answer.status >= 500:
            raise TransientFault(self._uri, f"HTTP status {answer.status}")
        raise AccessDenied(self._uri, f"unexpected HTTP status {answer.status}")

    def _facts(self, answer: urllib3.BaseHTTPResponse) -> SourceFacts:
        size = answer.headers.get("Content-Length")
        if answer.status == 206:
            # `bytes 0-9/*` has no size.
            size = answer.headers.get("Content-Range", "").rpartition("/")[2]
        modified = answer.headers.get("Last-Modified")
        return SourceFacts(
            0 if answer.status == 416 else int(size) if size and size.isdigit() else None,
            SourceVersion(answer.headers.get("ETag") or modified),
            parsedate_to_datetime(modified) if modified else None,
        )


def http_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """The headers in storage options, in the form of fsspec's http file system.

    Raises:
        ValueError: they are not an object of strings.
    """
    settings = options.get("client_kwargs", {})
    headers = settings.get("headers", {}) if isinstance(settings, Mapping) else None
    if not isinstance(headers, Mapping) or not all(
        isinstance(text, str) for pair in headers.items() for text in pair
    ):
        raise ValueError("client_kwargs.headers is not an object of strings")
    return dict(headers)

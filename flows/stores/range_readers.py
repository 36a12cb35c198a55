"""Reads byte ranges of one version of a remote file: S3 and http(s)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

import urllib3
from botocore.exceptions import ClientError

from flows.core.locations import HttpLocation, S3Location
from flows.core.outcomes import AccessDenied, SourceChanged, TransientFault
from flows.core.public_uri import public_lines
from flows.core.source_version import SourceVersion
from flows.stores.object_store import error_code

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

_BLOCK_BYTES = 1024 * 1024

# HTTP statuses of a missing file.
_GONE = frozenset({404, 410})

# Its lines about retries have the path with its query.
public_lines("urllib3.connectionpool")


@dataclass(frozen=True)
class Beginning:
    """The answer to the first request: the whole file's size and version, and a body.

    The body is the requested range, or the whole file if the server does not support ranges.
    """

    size: int | None
    version: SourceVersion
    last_modified: datetime | None
    body: Iterator[bytes]


@dataclass(frozen=True)
class CurrentSource:
    """The current state of a source: its version, and its size in bytes if known.

    `is_page`: the web server answered with a page, as some do for any path.
    """

    version: SourceVersion
    size: int | None
    is_page: bool = False


class RangeReader(Protocol):
    """A remote file, read range by range."""

    def begin(self, length: int) -> Beginning:
        """The first `length` bytes of the current version.

        Raises:
            FileNotFoundError: the file does not exist.
            ClientError, AccessDenied: access is denied; `flows.stores.errors` handles the
                store's error.
        """
        ...

    def read(self, start: int, length: int, version: SourceVersion) -> bytes:
        """A range of exactly this version.

        Raises:
            SourceChanged: the file has another version now, or was removed.
        """
        ...


class S3Reader:
    """An object in one version, by If-Match and its version id, if it has one."""

    def __init__(self, client: S3Client, location: S3Location) -> None:
        self._client = client
        self._location = location

    def begin(self, length: int) -> Beginning:
        """See `RangeReader`."""
        where: dict[str, Any] = {"Bucket": self._location.bucket, "Key": self._location.key}
        try:
            answer = self._client.get_object(**where, Range=f"bytes=0-{length - 1}")
            size = int(answer["ContentRange"].rpartition("/")[2])
            body: Iterator[bytes] = answer["Body"].iter_chunks(_BLOCK_BYTES)
        except ClientError as error:
            status, code = error_code(error)
            if status == 404 and code != "NoSuchBucket":
                raise FileNotFoundError(self._location.uri) from error
            if status != 416:
                raise
            # An empty object has no first byte, so the range fails.
            empty = self._client.head_object(**where)
            return Beginning(
                0,
                SourceVersion(empty["ETag"].strip('"'), empty.get("VersionId")),
                empty["LastModified"],
                iter(()),
            )
        version = SourceVersion(answer["ETag"].strip('"'), answer.get("VersionId"))
        return Beginning(size, version, answer["LastModified"], body)

    def read(self, start: int, length: int, version: SourceVersion) -> bytes:
        """See `RangeReader`."""
        pinned: dict[str, Any] = {"IfMatch": f'"{version.etag}"'}
        if version.version_id is not None:
            pinned["VersionId"] = version.version_id
        try:
            answer = self._client.get_object(
                Bucket=self._location.bucket,
                Key=self._location.key,
                Range=f"bytes={start}-{start + length - 1}",
                **pinned,
            )
        except ClientError as error:
            if error_code(error)[0] in {404, 412, 416}:
                raise SourceChanged(
                    self._location.uri, str(version), error_code(error)[1]
                ) from error
            raise
        return answer["Body"].read()


class HttpReader:
    """A file on a web server, read in ranges if the server supports them, else as one stream."""

    def __init__(self, location: HttpLocation, headers: dict[str, str]) -> None:
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
        """See `RangeReader`."""
        answer = self._get({"Range": f"bytes=0-{length - 1}"})
        if answer.status == 416:
            return Beginning(0, SourceVersion(), None, iter(()))
        self._refuse(answer)
        if answer.status == 206 and not self._version(answer).is_known:
            # Without a version, ranges could come from two versions, so one response must have it
            # all.
            answer.close()
            answer = self._get({})
            self._refuse(answer)
        if _file_size(answer) is None and not answer.headers.get("Transfer-Encoding"):
            cause = "the server sends no length, so a truncated file would not be detected"
            raise AccessDenied(self._uri, cause)
        modified = answer.headers.get("Last-Modified")
        return Beginning(
            _file_size(answer),
            self._version(answer),
            parsedate_to_datetime(modified) if modified else None,
            answer.stream(_BLOCK_BYTES),
        )

    def current(self) -> CurrentSource | None:
        """The current state of the file, None if it does not exist.

        If the server does not support HEAD, or the URL is signed only for GET, this
        requests the first byte.

        Raises:
            AccessDenied: access is denied.
            TransientFault: the server has an error, or limits requests.
        """
        answer = self._pool.request("HEAD", self._url, headers=self._headers)
        if answer.status != 200 and answer.status not in _GONE:
            answer = self._get({"Range": "bytes=0-0"})
            # The body may be the whole file; only the headers are needed.
            answer.close()
        if answer.status in _GONE:
            return None
        if answer.status == 416:
            return CurrentSource(self._version(answer), 0)
        self._refuse(answer)
        is_page = "html" in answer.headers.get("Content-Type", "")
        return CurrentSource(self._version(answer), _file_size(answer), is_page)

    def read(self, start: int, length: int, version: SourceVersion) -> bytes:
        """See `RangeReader`."""
        answer = self._get({"Range": f"bytes={start}-{start + length - 1}"})
        if answer.status in {404, 416}:
            raise SourceChanged(self._uri, str(version), f"HTTP status {answer.status}")
        self._refuse(answer)
        # Servers seldom support If-Match; the version in the response serves as well.
        found = self._version(answer)
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

    @staticmethod
    def _version(answer: urllib3.BaseHTTPResponse) -> SourceVersion:
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        return SourceVersion(tag.strip('"') if tag else None)


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


def _file_size(answer: urllib3.BaseHTTPResponse) -> int | None:
    """The file's size, None if the response does not have it (chunked, or `bytes 0-9/*`)."""
    size = answer.headers.get("Content-Length")
    if answer.status == 206:
        size = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(size) if size and size.isdigit() else None

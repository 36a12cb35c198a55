"""What AWS answers to the trigger's requests: objects, errors, and a bucket's region."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from lambda_trigger.clients.http_client import Reply, Request, error_of, excerpt
from lambda_trigger.clients.transport_errors import RefusedError

# Error codes of throttled requests whose status is not 429.
THROTTLING_CODES = (b"Throttling", b"SlowDown", b"TooManyRequests", b"RequestLimitExceeded")
METADATA_PREFIX = "x-amz-meta-"


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """The first bytes of an object and its S3 attributes.

    `size` is in bytes; `last_modified` has full seconds, and is None if S3 did not name it.
    """

    head: bytes
    size: int
    etag: str
    version_id: str | None
    metadata: dict[str, str]
    tag_count: int
    last_modified: datetime | None = None


# Why an object cannot be read.
Unreadable = Literal["gone", "replaced", "empty", "archived"]


def object_head(reply: Reply) -> ObjectHead:
    """Read the answer to a GET of an object's first bytes."""
    total = reply.headers.get("Content-Range", "").rpartition("/")[2]
    metadata = {
        name.lower().removeprefix(METADATA_PREFIX): text
        for name, text in reply.headers.items()
        if name.lower().startswith(METADATA_PREFIX)
    }
    version = reply.headers.get("x-amz-version-id")
    return ObjectHead(
        head=reply.body,
        size=int(total) if total.isdigit() else int(reply.headers.get("Content-Length", "0")),
        etag=reply.headers.get("ETag", "").strip('"'),
        # S3 returns "null" for an object that is older than the bucket's versioning.
        version_id=None if version in {None, "", "null"} else version,
        metadata=metadata,
        tag_count=int(reply.headers.get("x-amz-tagging-count", "0")),
        last_modified=_date(reply.headers.get("Last-Modified", "")),
    )


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None


def region_elsewhere(reply: Reply) -> str:
    """Return the bucket's region if the request went to another one; otherwise ''."""
    if reply.status not in {301, 307, 400}:
        return ""
    return reply.headers.get("x-amz-bucket-region") or _text(reply, "Region")


def throttles(reply: Reply) -> bool:
    """Return whether AWS refuses for now because of too many requests."""
    if reply.status == 429:
        return True
    return reply.status in {400, 503} and any(code in reply.body for code in THROTTLING_CODES)


def error_code(reply: Reply) -> str:
    """Return the code in S3's error, '' if the answer has none."""
    return _text(reply, "Code")


def xml(request: Request, reply: Reply) -> ET.Element:
    """Read an answer of S3; raise if it is an error."""
    if reply.status != 200:
        raise error_of(request, reply)
    if (found := _parsed(reply)) is None:
        raise RefusedError(request.service, request.operation, f"not XML: {excerpt(reply.body)}")
    return found


def _text(reply: Reply, name: str) -> str:
    found = _parsed(reply)
    return "" if found is None else found.findtext(name, "")


def _parsed(reply: Reply) -> ET.Element | None:
    try:
        return ET.fromstring(reply.body)  # noqa: S314 - an answer of S3's own
    except ET.ParseError:
        return None

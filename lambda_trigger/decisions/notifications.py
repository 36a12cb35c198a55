"""Notification bodies: this module reads the uploads out of SQS messages.

There are four envelopes: an S3 event, an EventBridge event, either inside SQS,
and either inside SNS inside SQS. They may be nested, and one message may hold
several. The formats are "Event message structure" and "EventBridge event
message structure" in the S3 user guide. As that guide requires, only the major
version is compared and unknown fields are ignored.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_plus

from lambda_trigger.decisions.outcomes import (
    LANES,
    LIVE,
    RESTORED,
    S3_RESTORED,
    Ignored,
    Reason,
    Rejected,
    Upload,
)

_T = TypeVar("_T")
MAX_NESTING = 16

S3_NOT_AN_UPLOAD = {"ObjectRemoved": Reason.DELETED, "LifecycleExpiration": Reason.DELETED}
# A completed restore makes an archived object readable, so a file that was uploaded
# to an archive class can start then. If it was converted before, its identity finds
# that run. The stack's rule and its event archive match only these two types. A copy
# and a completed multipart upload are 'Object Created'. 'Object Storage Class Changed',
# 'Object Access Tier Changed', 'Object ACL Updated' and tag events change neither the
# content nor whether it can be read. After 'Object Restore Initiated' and 'Expired' it
# cannot be read.
EVENTBRIDGE_UPLOADS = ("Object Created", RESTORED)
SNS_HANDSHAKES = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


class MalformedError(ValueError):
    """The body is not a notification; the message says what is wrong."""


class Judged(NamedTuple):
    """A notice whose outcome is already known; `upload` is None if the body names no object."""

    upload: Upload | None
    outcome: Ignored | Rejected


class TaskStopped(NamedTuple):
    """A conversion task has ended; `event` is the EventBridge event."""

    event: dict[str, Any]


# One notice of a body: an upload, a known outcome, or a stopped task.
Notice = Upload | Judged | TaskStopped


def read_body(body: object) -> list[Notice]:
    """Read one message body of any envelope.

    A malformed body does not raise: each malformed part becomes one Judged notice
    with a Rejected outcome, and the other parts are still read. There is always at
    least one notice.
    """
    if isinstance(body, bytes):
        body = body.decode("utf-8", errors="replace")
    if not isinstance(body, str):
        return [_malformed(f"the body must be text, but it is {_kind(body)}")]
    return list(_from_json(body, "", 0))


def _from_json(text: str, envelope: str, depth: int) -> Iterator[Notice]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        # RecursionError: '[[[[…' is nested deeper than the parser allows.
        start = text[:60].encode("unicode_escape").decode()
        yield _malformed(f"not JSON ({type(error).__name__}): {start!r}")
        return
    yield from _from_value(value, envelope, depth)


def _from_value(value: Any, envelope: str, depth: int) -> Iterator[Notice]:  # noqa: ANN401 - any JSON
    if depth > MAX_NESTING:
        yield _malformed(f"envelopes nested more than {MAX_NESTING} deep")
    elif isinstance(value, str):
        yield from _from_json(value, envelope, depth + 1)
    elif isinstance(value, list):
        yield from _each(value, envelope, depth, "an empty list")
    elif isinstance(value, dict):
        yield from _from_object(value, envelope, depth)
    else:
        yield _malformed(f"JSON, but {_kind(value)}")


def _each(items: list[Any], envelope: str, depth: int, empty: str) -> Iterator[Notice]:
    if not items:
        yield _malformed(empty)
    for item in items:
        yield from _from_value(item, envelope, depth + 1)


def _from_object(value: dict[str, Any], envelope: str, depth: int) -> Iterator[Notice]:
    if isinstance(value.get("Records"), list):
        yield from _each(value["Records"], envelope, depth, "'Records' is empty")
    elif isinstance(value.get("s3"), dict):
        yield _judged(_from_s3, value, envelope)
    elif "detail-type" in value:
        yield _judged(_from_eventbridge, value, envelope)
    elif value.get("Event") == "s3:TestEvent":
        bucket = value.get("Bucket")
        yield Judged(None, Ignored(Reason.TEST_EVENT, f"bucket {bucket}"))
    elif value.get("Type") in SNS_HANDSHAKES:
        yield Judged(None, Ignored(Reason.SUBSCRIPTION_MESSAGE, f"topic {value.get('TopicArn')}"))
    elif "Message" in value:
        yield from _from_value(value["Message"], envelope + "sns>", depth + 1)
    elif isinstance(value.get("Sns"), dict):
        yield from _from_value(value["Sns"], envelope, depth + 1)
    elif "body" in value:
        yield from _from_value(value["body"], envelope + "sqs>", depth + 1)
    else:
        names = ", ".join(sorted(map(repr, value))[:6]) or "nothing"
        yield _malformed(f"a JSON object of an unknown envelope (its fields: {names})")


def _judged(
    read: Callable[[dict[str, Any], str], Notice], value: dict[str, Any], envelope: str
) -> Notice:
    try:
        return read(value, envelope)
    except MalformedError as error:
        return _malformed(str(error))


def _from_s3(record: dict[str, Any], envelope: str) -> Notice:
    version = str(record.get("eventVersion", "2.0"))
    if version.split(".", maxsplit=1)[0] != "2":
        raise MalformedError(f"an S3 event of version {version!r}; supported is 2.x")
    event_name = _field(record, "eventName", str).removeprefix("s3:")
    bucket = _field(_field(record["s3"], "bucket", dict), "name", str)
    item = _field(record["s3"], "object", dict)
    quoted_key = _field(item, "key", str)
    try:
        key = unquote_plus(quoted_key, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedError(f"the key is not UTF-8: {quoted_key!r}") from error
    response = record.get("responseElements")
    upload = Upload(
        bucket=bucket,
        key=key,
        size=_size_in(item),
        etag=_text(item.get("eTag")),
        version_id=_text(item.get("versionId")),
        event_name=event_name,
        event_time=str(record.get("eventTime", "")),
        request_id=str(response.get("x-amz-request-id", "")) if isinstance(response, dict) else "",
        envelope=envelope + "s3",
        **_echodrop_fields(record),
    )
    if event_name.startswith("ObjectCreated:") or event_name == S3_RESTORED:
        return upload
    reason = S3_NOT_AN_UPLOAD.get(event_name.partition(":")[0], Reason.NOT_AN_UPLOAD)
    return Judged(upload, Ignored(reason, event_name))


def _from_eventbridge(event: dict[str, Any], envelope: str) -> Notice:
    source, detail_type = event.get("source"), str(event["detail-type"])
    if detail_type == "ECS Task State Change":
        return TaskStopped(event)
    if source != "aws.s3":
        raise MalformedError(f"an EventBridge event from {source!r}, not from aws.s3")
    detail = _field(event, "detail", dict)
    version = str(detail.get("version", "0"))
    if version.split(".", maxsplit=1)[0] != "0":
        raise MalformedError(f"an EventBridge detail of version {version!r}; supported is 0")
    item = _field(detail, "object", dict)
    upload = Upload(
        bucket=_field(_field(detail, "bucket", dict), "name", str),
        # EventBridge does not encode keys: '+' and '%' are literal.
        key=_field(item, "key", str),
        size=_size_in(item),
        etag=_text(item.get("etag")),
        version_id=_text(item.get("version-id")),
        event_name=detail_type,
        event_time=str(event.get("time", "")),
        request_id=str(detail.get("request-id", "")),
        envelope=envelope + "eventbridge",
        **_echodrop_fields(detail),
    )
    if detail_type in EVENTBRIDGE_UPLOADS:
        return upload
    reason = Reason.DELETED if detail_type == "Object Deleted" else Reason.NOT_AN_UPLOAD
    return Judged(upload, Ignored(reason, detail_type))


def _field(value: dict[str, Any], name: str, kind: type[_T]) -> _T:
    """Return the value, not an empty text, that a notification must have under this name."""
    found = value.get(name)
    if not isinstance(found, kind) or found == "":
        raise MalformedError(f"a notification without {name!r}")
    return found


def _text(value: object) -> str | None:
    """Return a text that is not empty, without an entity tag's quotes."""
    return value.strip('"') if isinstance(value, str) and value else None


def _size_in(item: dict[str, Any]) -> int | None:
    size = item.get("size")
    if size is not None and not _is_whole(size):
        raise MalformedError(f"the size is not a number of bytes: {size!r}")
    return size


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _echodrop_fields(holder: dict[str, Any]) -> dict[str, Any]:
    """Read the fields that echodrop adds to a notification."""
    ours = holder.get("echodrop")
    ours = ours if isinstance(ours, dict) else {}
    generation, after = ours.get("generation", 0), ours.get("after", "")
    lane = ours.get("lane", LIVE)
    if not _is_whole(generation):
        raise MalformedError(f"the generation is not a whole number: {generation!r}")
    # Treated as live, a whole backfill would run before today's uploads.
    if lane not in LANES:
        raise MalformedError(f"the lane is not one of {', '.join(LANES)}: {lane!r}")
    return {
        "generation": generation,
        "lane": lane,
        "is_repair": (ours.get("repair") or ours.get("mends")) is True,  # former name
        "allow_partial": ours.get("allow_partial") is True,
        "after": after if isinstance(after, str) else "",
    }


def _malformed(detail: str) -> Notice:
    return Judged(None, Rejected(Reason.MALFORMED, detail))


def _kind(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"

"""AWS answers that moto does not give; the contract tests use moto."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore
import pytest

from lambda_trigger.clients.aws_answers import ObjectHead
from lambda_trigger.clients.aws_api import AwsApi
from lambda_trigger.clients.aws_domains import dns_suffix
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.http_client import HttpClient, Reply, Request
from lambda_trigger.clients.sigv4 import Credentials
from lambda_trigger.clients.transport_errors import (
    DeniedError,
    MissingError,
    RefusedError,
    ThrottledError,
    TransportError,
    UnavailableError,
)
from lambda_trigger.decisions.sidecars import ListedObject
from tests.unit.trigger.conftest import HttpStub

CREDENTIALS = Credentials("AKID", "secret")


def api(stub: HttpStub) -> AwsApi:
    return AwsApi(HttpClient(), CREDENTIALS, "eu-west-1", stub.origin)


def error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


def read(stub: HttpStub) -> object:
    return api(stub).read_head("inbox", "a.raw", etag="e", count=16, deadline=Deadline(20))


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (404, "NoSuchKey", "gone"),
        (412, "PreconditionFailed", "replaced"),
        (416, "InvalidRange", "empty"),
        (403, "InvalidObjectState", "archived"),
    ],
)
def test_an_object_that_cannot_be_read(
    http_stub: HttpStub, status: int, code: str, why: str
) -> None:
    http_stub.answer(status, error(code))
    assert read(http_stub) == why


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (403, "AccessDenied", DeniedError),
        (403, "ExpiredToken", DeniedError),
        (404, "NoSuchBucket", MissingError),
        (400, "BadRequest", RefusedError),
        (301, "PermanentRedirect", RefusedError),
        (500, "InternalError", UnavailableError),
        (503, "SlowDown", ThrottledError),
        (503, "ServiceUnavailable", UnavailableError),
    ],
)
def test_every_other_answer_is_a_transport_error(
    http_stub: HttpStub, status: int, code: str, raised: type[TransportError]
) -> None:
    http_stub.answer(status, error(code))
    with pytest.raises(raised, match=code):
        read(http_stub)


# S3's answers if a bucket is in another region: for its address, or for the signature.
@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (301, error("PermanentRedirect"), {"x-amz-bucket-region": "us-west-2"}),
        (307, error("TemporaryRedirect"), {"x-amz-bucket-region": "us-west-2"}),
        (400, error("AuthorizationHeaderMalformed"), {"x-amz-bucket-region": "us-west-2"}),
        (
            400,
            b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>",
            {},
        ),
    ],
    ids=str,
)
def test_a_bucket_in_another_region_is_read_there_from_then_on(
    http_stub: HttpStub, status: int, body: bytes, headers: dict[str, str]
) -> None:
    http_stub.answer(status, body, **headers)
    http_stub.answer(206, b"CON0", **{"Content-Range": "bytes 0-3/9", "ETag": '"e"'})
    aws = api(http_stub)
    for _ in range(2):
        found = aws.read_head("archive", "a.raw", etag="e", count=16, deadline=Deadline(20))
        assert getattr(found, "size", 0) == 9
    signed = [str(authorization).split("/")[2] for _, _, authorization, _ in http_stub.asked]
    assert signed == ["eu-west-1", "us-west-2", "us-west-2"]


def test_a_wrong_region_is_an_error_after_one_retry(http_stub: HttpStub) -> None:
    http_stub.answer(301, error("PermanentRedirect"), **{"x-amz-bucket-region": "us-west-2"})
    with pytest.raises(RefusedError, match="PermanentRedirect"):
        read(http_stub)
    assert len(http_stub.asked) == 2


def test_without_range_support_only_the_requested_bytes_are_read(http_stub: HttpStub) -> None:
    http_stub.answer(200, b"x" * 5_000_000, ETag='"e"')
    found = read(http_stub)
    assert isinstance(found, ObjectHead)
    assert getattr(found, "head", b"") == b"x" * 16
    assert getattr(found, "size", 0) == 5_000_000


def page(*keys: str, token: str = "") -> bytes:
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = str(bool(token)).lower()
    return (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{truncated}</IsTruncated>{more}{contents}</ListBucketResult>"
    ).encode()


def test_a_listing_is_read_page_by_page(http_stub: HttpStub) -> None:
    http_stub.answer(200, page("a", "b%2B+c", token="1/+="))
    http_stub.answer(200, page("%C3%A4"))
    listed = list(api(http_stub).list_objects("inbox", "m/", Deadline(5), below=False))
    assert listed == [
        ListedObject(key, 3, "e", "2026-01-01T00:00:00.000Z") for key in ("a", "b+ c", "ä")
    ]
    first, second = (asked[1] for asked in http_stub.asked)
    assert first == "/inbox/?delimiter=%2F&encoding-type=url&list-type=2&prefix=m%2F"
    assert "continuation-token=1%2F%2B%3D" in second


def test_a_listing_that_is_not_xml_is_refused(http_stub: HttpStub) -> None:
    http_stub.answer(200, b"<html>")
    with pytest.raises(RefusedError, match="not XML"):
        list(api(http_stub).list_objects("inbox", "", Deadline(5), below=True))


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ((400, {"__type": "ParameterNotFound"}), MissingError),
        ((400, {"__type": "AccessDeniedException"}), DeniedError),
        ((400, {"__type": "ThrottlingException"}), ThrottledError),
        ((400, {"__type": "ValidationException"}), RefusedError),
        ((500, {"__type": "InternalServerError"}), UnavailableError),
    ],
)
def test_a_parameter_that_cannot_be_read(
    http_stub: HttpStub, answer: tuple[int, dict[str, str]], raised: type[TransportError]
) -> None:
    http_stub.answer(*answer)
    with pytest.raises(raised):
        api(http_stub).parameter("/rules", Deadline(20))


def test_messages_that_the_queue_refuses_are_an_error(http_stub: HttpStub) -> None:
    http_stub.answer(200, {"Successful": [], "Failed": [{"Id": "0", "Code": "InternalError"}]})
    with pytest.raises(RefusedError, match="InternalError"):
        api(http_stub).send_messages("arn:aws:sqs:eu-west-1:1:q", ["x"], Deadline(5))


@pytest.mark.parametrize(
    ("region", "bucket", "origin", "target"),
    [
        (
            "eu-west-1",
            "inbox",
            "https://inbox.s3.eu-west-1.amazonaws.com",
            "/a%2Bb%20%C3%A4/c%3F.raw",
        ),
        (
            "eu-west-1",
            "in.box",
            "https://s3.eu-west-1.amazonaws.com",
            "/in.box/a%2Bb%20%C3%A4/c%3F.raw",
        ),
        (
            "cn-north-1",
            "inbox",
            "https://inbox.s3.cn-north-1.amazonaws.com.cn",
            "/a%2Bb%20%C3%A4/c%3F.raw",
        ),
    ],
)
def test_on_aws_a_bucket_has_its_own_host_unless_its_name_has_dots(
    region: str, bucket: str, origin: str, target: str
) -> None:
    sent: list[Request] = []

    class Client(HttpClient):
        def send(self, request: Request, *_: object, **__: object) -> Reply:
            sent.append(request)
            return Reply(412, {}, b"")

    aws = AwsApi(Client(), CREDENTIALS, region)
    aws.read_head(bucket, "a+b ä/c?.raw", etag=None, count=1, deadline=Deadline(5))
    (request,) = sent
    assert (request.origin, request.target) == (origin, target)
    assert request.headers["host"] == origin.removeprefix("https://")
    assert f"/{region}/s3/aws4_request" in request.headers["authorization"]


def partitions() -> list[dict[str, Any]]:
    path = Path(botocore.__file__).parent / "data" / "partitions.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["partitions"]
    return found


@pytest.mark.parametrize("partition", partitions(), ids=lambda each: each["id"])
def test_every_region_has_the_dns_suffix_of_its_partition(partition: dict[str, Any]) -> None:
    regions = [name for name in partition["regions"] if not name.endswith("-global")]
    assert {dns_suffix(region) for region in regions} == {partition["outputs"]["dnsSuffix"]}

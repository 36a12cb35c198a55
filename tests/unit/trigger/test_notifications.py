from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_trigger.decisions.notifications import Judged, read_body
from lambda_trigger.decisions.outcomes import Ignored, Reason, Rejected, Upload


def s3_record(key: str = "a.raw", **changes: Any) -> dict[str, Any]:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {
            "bucket": {"name": "inbox"},
            "object": {"key": key, "size": 3, "eTag": "abc", "versionId": "v1", "sequencer": "0A"},
        },
    }
    return record | changes


def eventbridge(detail_type: str = "Object Created", **changes: Any) -> dict[str, Any]:
    detail = {
        "version": "0",
        "bucket": {"name": "inbox"},
        "object": {"key": "a.raw", "size": 3, "etag": "abc", "version-id": "v1"},
        "request-id": "C3D13FE58DE4C810",
    }
    event = {"version": "0", "detail-type": detail_type, "source": "aws.s3", "time": "t"}
    return event | {"detail": detail} | changes


def keys(body: Any) -> list[str]:
    notices = read_body(json.dumps(body))
    return [notice.key for notice in notices if isinstance(notice, Upload)]


def only(body: Any) -> Any:
    (notice,) = read_body(body if isinstance(body, str | bytes) else json.dumps(body))
    return notice


def test_an_s3_event_gives_its_upload() -> None:
    assert only({"Records": [s3_record()]}) == Upload(
        bucket="inbox",
        key="a.raw",
        size=3,
        etag="abc",
        version_id="v1",
        event_name="ObjectCreated:Put",
        event_time="2026-01-01T00:00:00.000Z",
        request_id="C3D13FE58DE4C810",
        envelope="s3",
    )


def test_an_eventbridge_event_gives_the_same_upload() -> None:
    upload = only(eventbridge())
    assert (upload.bucket, upload.key, upload.size) == ("inbox", "a.raw", 3)
    assert (upload.etag, upload.version_id) == ("abc", "v1")
    assert (upload.request_id, upload.envelope) == ("C3D13FE58DE4C810", "eventbridge")


@pytest.mark.parametrize(
    ("quoted", "key"),
    [
        ("a+b.raw", "a b.raw"),
        ("a%2Bb.raw", "a+b.raw"),
        ("a%2520b.raw", "a%20b.raw"),
        ("HB0706%2FEK60%2Fa.raw", "HB0706/EK60/a.raw"),
        ("%C3%A4.raw", "ä.raw"),
        ("%F0%9F%90%9F.raw", "🐟.raw"),
        ("a%00.raw", "a\0.raw"),
        ("50%25.raw", "50%.raw"),
    ],
)
def test_s3_quotes_keys_and_eventbridge_does_not(quoted: str, key: str) -> None:
    assert keys({"Records": [s3_record(quoted)]}) == [key]
    raw = eventbridge()
    raw["detail"]["object"]["key"] = quoted
    assert keys(raw) == [quoted]


@pytest.mark.parametrize("inner", [{"Records": [s3_record()]}, eventbridge()])
@pytest.mark.parametrize("text", [True, False])
def test_all_envelopes_nest(inner: dict[str, Any], *, text: bool) -> None:
    def written(value: Any) -> Any:
        return json.dumps(value) if text else value

    in_sns = {"Type": "Notification", "TopicArn": "arn", "Message": written(inner)}
    in_sqs = {"Records": [{"messageId": "1", "body": written(inner)}]}
    in_sns_in_sqs = {"Records": [{"messageId": "1", "body": written(in_sns)}]}
    in_sns_event = {"Records": [{"EventSource": "aws:sns", "Sns": in_sns}]}
    for body in (in_sns, in_sqs, in_sns_in_sqs, in_sns_event, [inner], json.dumps(inner)):
        assert keys(body) == ["a.raw"], body


def test_all_records_of_a_message_are_read() -> None:
    body = {"Records": [s3_record("a.raw"), {"body": "no"}, s3_record("b.raw"), s3_record("c.raw")]}
    assert keys(body) == ["a.raw", "b.raw", "c.raw"]
    assert len(read_body(json.dumps(body))) == 4


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.3", "2.9", "2"])
def test_later_minor_versions_are_read(version: str) -> None:
    assert keys({"Records": [s3_record(eventVersion=version, somethingNew={"a": 1})]}) == ["a.raw"]


@pytest.mark.parametrize(
    "event_name",
    ["Put", "Post", "Copy", "CompleteMultipartUpload"],
)
def test_every_created_event_is_an_upload(event_name: str) -> None:
    assert keys({"Records": [s3_record(eventName=f"ObjectCreated:{event_name}")]}) == ["a.raw"]
    assert keys({"Records": [s3_record(eventName=f"s3:ObjectCreated:{event_name}")]}) == ["a.raw"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"Records": [s3_record(eventName="ObjectRemoved:Delete")]}, Reason.DELETED),
        ({"Records": [s3_record(eventName="ObjectRemoved:DeleteMarkerCreated")]}, Reason.DELETED),
        ({"Records": [s3_record(eventName="LifecycleExpiration:Delete")]}, Reason.DELETED),
        ({"Records": [s3_record(eventName="LifecycleTransition")]}, Reason.NOT_AN_UPLOAD),
        ({"Records": [s3_record(eventName="ObjectRestore:Post")]}, Reason.NOT_AN_UPLOAD),
        ({"Records": [s3_record(eventName="ObjectRestore:Delete")]}, Reason.NOT_AN_UPLOAD),
        ({"Records": [s3_record(eventName="ObjectTagging:Put")]}, Reason.NOT_AN_UPLOAD),
        ({"Records": [s3_record(eventName="ReducedRedundancyLostObject")]}, Reason.NOT_AN_UPLOAD),
        (eventbridge("Object Deleted"), Reason.DELETED),
        (eventbridge("Object Restore Initiated"), Reason.NOT_AN_UPLOAD),
        (eventbridge("Object Tags Added"), Reason.NOT_AN_UPLOAD),
        (eventbridge("Object Storage Class Changed"), Reason.NOT_AN_UPLOAD),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"}, Reason.TEST_EVENT),
        ({"Type": "SubscriptionConfirmation", "Message": "x"}, Reason.SUBSCRIPTION_MESSAGE),
    ],
)
def test_an_event_that_is_not_an_upload_is_ignored(body: dict[str, Any], reason: Reason) -> None:
    notice = only(body)
    assert isinstance(notice, Judged)
    assert isinstance(notice.outcome, Ignored)
    assert notice.outcome.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        {"Records": [s3_record(eventName="ObjectRestore:Completed")]},
        eventbridge("Object Restore Completed"),
    ],
)
def test_a_completed_restore_is_an_upload(body: dict[str, Any]) -> None:
    assert keys(body) == ["a.raw"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "not JSON"),
        ("hello", "'hello'"),
        (b"\xff\xfe", "not JSON"),
        ("[" * 100_000, "RecursionError"),
        ("9" * 5000, "not JSON"),
        ("null", "null"),
        ("42", "int"),
        ("{}", "nothing"),
        ("[]", "empty list"),
        ('{"Records": []}', "empty"),
        ('{"a": 1}', "'a'"),
        (json.dumps({"Records": [s3_record(eventVersion="3.0")]}), "3.0"),
        (json.dumps({"Records": [s3_record("%FF.raw")]}), "UTF-8"),
        (json.dumps({"Records": [s3_record(s3={})]}), "'bucket'"),
        (json.dumps({"Records": [s3_record(s3={"bucket": {"name": "b"}})]}), "'object'"),
        (json.dumps({"Records": [s3_record("")]}), "'key'"),
        (json.dumps({"Records": [s3_record(eventName=None)]}), "'eventName'"),
        (json.dumps({"Records": [s3_record(echodrop={"generation": -1})]}), "generation"),
        (json.dumps({"Records": [s3_record(echodrop={"lane": "fast"})]}), "'fast'"),
        (json.dumps({"Records": [s3_record(echodrop={"lane": ["live"]})]}), "lane"),
        (json.dumps(eventbridge(source="aws.ec2")), "aws.ec2"),
        (json.dumps(eventbridge(detail=3)), "'detail'"),
        (json.dumps(eventbridge(detail={"version": "1"})), "version"),
    ],
)
def test_a_malformed_body_is_rejected_with_the_problem(body: Any, says: str) -> None:
    notice = only(body)
    assert isinstance(notice, Judged)
    assert isinstance(notice.outcome, Rejected)
    assert notice.outcome.reason == Reason.MALFORMED
    assert says in notice.outcome.detail


@pytest.mark.parametrize("size", ["3", -1, 1.5, True])
def test_a_size_that_is_not_a_number_of_bytes_is_rejected(size: object) -> None:
    record = s3_record()
    record["s3"]["object"]["size"] = size
    assert isinstance(only({"Records": [record]}), Judged)


def test_nesting_without_end_is_rejected() -> None:
    body: Any = eventbridge()
    for _ in range(40):
        body = {"Message": body}
    assert "nested" in only(body).outcome.detail


def test_unversioned_uploads_and_the_generation_of_a_forced_replay() -> None:
    record = s3_record(echodrop={"generation": 2})
    del record["s3"]["object"]["versionId"]
    upload = only({"Records": [record]})
    assert (upload.version_id, upload.generation, upload.lane) == (None, 2, "live")


def test_a_backfill_names_its_lane_and_the_default_is_live() -> None:
    assert only({"Records": [s3_record(echodrop={"lane": "backfill"})]}).lane == "backfill"
    assert only({"Records": [s3_record()]}).lane == "live"


@pytest.mark.parametrize("name", ["repair", "mends"])  # former name
def test_a_repair_is_known_by_its_field_and_by_the_former_one(name: str) -> None:
    assert only({"Records": [s3_record(echodrop={name: True})]}).is_repair
    assert not only({"Records": [s3_record(echodrop={name: "yes"})]}).is_repair


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = ["Records", "s3", "body", "Message", "Sns", "detail", "detail-type", "source", "bucket"]
NEARLY = st.recursive(
    ANY_JSON | st.sampled_from(["aws.s3", "Object Created", "2.1", s3_record(), eventbridge()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*FIELDS, "object", "name", "key", "size"]), inner, max_size=5
        )
    ),
    max_leaves=20,
)


@given(st.binary() | st.text() | NEARLY.map(json.dumps) | ANY_JSON.map(json.dumps))
def test_any_body_gives_a_notice(body: str | bytes) -> None:
    notices = read_body(body)
    assert notices
    assert all(isinstance(notice, Upload | Judged) for notice in notices)


@given(st.lists(st.sampled_from(["sqs", "sns", "list", "text", "records"]), max_size=6), NEARLY)
def test_no_record_is_lost_in_any_nesting(nesting: list[str], other: Any) -> None:
    body: Any = {"Records": [other, s3_record("kept.raw"), other]}
    for envelope in nesting:
        if envelope == "sqs":
            body = {"messageId": "1", "body": json.dumps(body)}
        elif envelope == "sns":
            body = {"Type": "Notification", "Message": json.dumps(body)}
        elif envelope == "list":
            body = [other, body]
        elif envelope == "text":
            body = json.dumps(body)
        else:
            body = {"Records": [body, other]}
    assert "kept.raw" in keys(body)

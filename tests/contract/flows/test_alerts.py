"""A failed run sends an alert, and a faulty file is in quarantine until it, or a newer version, converts."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import boto3
import jsonschema
import prefect.context
import pytest
from prefect.context import SettingsContext
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import conversion
from flows.convert_raw_sonar import convert_raw_sonar
from flows.convert_raw_sonar_batch import convert_raw_sonar_batch
from flows.core.locations import S3Location
from flows.failures import alerts, incidents
from flows.failures.alerts import Channels
from flows.stores import s3_client
from tests.contract.flows.conftest import EK60, Buckets, options_for
from tests.contract.flows.task_runs import end_of
from tests.unit.flows.test_failure_report import REPORT, SCHEMA

TAG = "echodrop-outcome"
SMALL = "ek80/-1519668699940320059.raw"


@dataclass
class Subscriber:
    """Queues that are subscribed to the two topics."""

    sqs: Any
    queues: dict[str, str]

    def received(self, topic: str) -> list[dict[str, Any]]:
        """SNS envelopes sent to a topic since the last call, with decoded messages."""
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.queues[topic], MaxNumberOfMessages=10
        ).get("Messages"):
            for message in messages:
                self.sqs.delete_message(
                    QueueUrl=self.queues[topic], ReceiptHandle=message["ReceiptHandle"]
                )
                envelope = json.loads(message["Body"])
                found.append(envelope | {"Message": json.loads(envelope["Message"])})
        return found


@pytest.fixture
def subscriber(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, prefect_api_url: str
) -> Iterator[Subscriber]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{buckets.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3_client._client.cache_clear()
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    queues = {}
    for topic in ("alert", "notice"):
        name = f"{topic}-{uuid.uuid4().hex}"
        arn = sns.create_topic(Name=name)["TopicArn"]
        queues[topic] = sqs.create_queue(QueueName=name)["QueueUrl"]
        queue_arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
        monkeypatch.setenv(f"ECHODROP_{topic.upper()}_TOPIC_ARN", arn)
    monkeypatch.setenv("ECHODROP_INCIDENTS", f"s3://{buckets.output.bucket}/.echodrop/incidents/")
    with temporary_settings({PREFECT_API_URL: prefect_api_url}):
        # See test_batch: the thread that forwards events uses only the process's settings.
        monkeypatch.setattr(prefect.context, "GLOBAL_SETTINGS_CONTEXT", SettingsContext.get())
        yield Subscriber(sqs, queues)
    s3_client._client.cache_clear()


@pytest.fixture
def versioned(buckets: Buckets) -> Buckets:
    """A versioned inbox, like the stack's."""
    buckets.inbox.client.put_bucket_versioning(
        Bucket=buckets.inbox.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    return buckets


def parameters(buckets: Buckets, key: str, model: str = "EK60") -> dict[str, Any]:
    """The parameters of a run that the trigger requests."""
    head = buckets.inbox.head(key)
    assert head is not None
    return {
        "raw_file": f"s3://{buckets.inbox.bucket}/{key}",
        "sonar_model": model,
        "output_path": f"s3://{buckets.output.bucket}/{key.replace('.raw', '.zarr')}",
        "output_type": "zarr",
        "source_etag": head.etag,
        "source_version_id": head.version_id,
        "overwrite": True,
        "input_storage_options": options_for(buckets.port),
        "output_storage_options": options_for(buckets.port),
    }


def run(**given: Any) -> str:
    state: Any = convert_raw_sonar(**given, return_state=True)
    return str(getattr(state.result(raise_on_failure=False), "outcome", state.name))


def tags(buckets: Buckets, key: str, version_id: str | None = None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in buckets.inbox.tags(key, version_id)}


def test_a_bad_file_is_reported_and_in_quarantine_until_a_good_copy_comes(
    versioned: Buckets, subscriber: Subscriber
) -> None:
    key = "HB0710/leg1/cut.raw"
    whole = (versioned.real_data / EK60).read_bytes()
    versioned.upload(key, whole[:-1000])
    bad = parameters(versioned, key)
    versioned.inbox.put_tags(key, None, [{"Key": "owner", "Value": "ship"}])

    assert run(**bad) == "BadFile"
    (envelope,) = subscriber.received("notice")
    assert subscriber.received("alert") == []
    assert envelope["Subject"] == "BadFile: cut.raw (HB0710/leg1)"
    attributes = {name: it["Value"] for name, it in envelope["MessageAttributes"].items()}
    assert attributes == {
        "event": "failure",
        "outcome": "BadFile",
        "cruise": "HB0710/leg1",
        "sonar_model": "EK60",
        "urgency": "notice",
    }
    message = envelope["Message"]
    assert message["file"] == bad["raw_file"]
    assert message["why"].startswith(bad["raw_file"])
    assert message["replay"] == f"echodrop replay {bad['raw_file']}"
    assert message["flow_run_id"] in message["run_url"]

    place = S3Location(versioned.output.bucket, "HB0710/leg1/cut.zarr.failure.json")
    assert message["report"] == place.uri
    stored = versioned.output.get(place.key)
    assert stored is not None
    report = json.loads(stored.body)
    jsonschema.validate(report, SCHEMA)
    assert report["preflight"]["condition"] == "truncated"
    assert report["facts"]["last_good_byte"] == report["preflight"]["last_good_byte"]
    assert report["source"]["version_id"] == bad["source_version_id"]
    marked = tags(versioned, key, bad["source_version_id"])
    assert (marked["owner"], marked[TAG]) == ("ship", "BadFile")
    assert marked["echodrop-reason"]

    versioned.upload(key, whole)
    assert tags(versioned, key) == {}
    assert run(**parameters(versioned, key)) == "Completed"
    assert versioned.output.get(place.key) is None
    assert subscriber.received("notice") == []
    # The old version keeps its tags.
    assert tags(versioned, key, bad["source_version_id"])[TAG] == "BadFile"


def test_the_same_version_is_released_when_it_converts_after_all(
    buckets: Buckets, subscriber: Subscriber
) -> None:
    del subscriber
    buckets.upload("a.raw", SMALL)
    buckets.inbox.put_tags("a.raw", None, [{"Key": "owner", "Value": "ship"}])
    assert run(**parameters(buckets, "a.raw", "EK60")) == "WrongModel"
    assert tags(buckets, "a.raw")[TAG] == "WrongModel"
    assert run(**parameters(buckets, "a.raw", "EK80")) == "Completed"
    assert tags(buckets, "a.raw") == {"owner": "ship"}
    assert buckets.output.get("a.zarr.failure.json") is None


def test_a_replaced_file_is_not_marked_for_its_earlier_version(
    buckets: Buckets, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    del subscriber
    buckets.upload("a.raw", b"no echosounder wrote this")
    bad = parameters(buckets, "a.raw")
    send = alerts.send_alerts

    def replaced(reports: Any) -> None:
        send(reports)
        buckets.upload("a.raw", SMALL)

    monkeypatch.setattr(alerts, "send_alerts", replaced)
    assert run(**bad) == "BadFile"
    assert tags(buckets, "a.raw") == {}


def test_an_unexpected_exception_is_an_alert(
    buckets: Buckets, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets.upload("a.raw", SMALL)

    def fail(*_: Any) -> Any:
        raise KeyError("channel 3")

    monkeypatch.setattr(conversion, "open_raw", fail)
    assert run(**parameters(buckets, "a.raw", "EK80")) == "Failed"
    (envelope,) = subscriber.received("alert")
    assert envelope["Message"]["outcome"] == "Defect"
    assert "KeyError" in envelope["Message"]["kind"]
    assert (subscriber.received("notice"), tags(buckets, "a.raw")) == ([], {})


def test_invalid_parameters_are_an_alert(buckets: Buckets, subscriber: Subscriber) -> None:
    buckets.upload("a.raw", b"")
    assert run(**parameters(buckets, "a.raw", "EK90")) == "InvalidParameters"
    (envelope,) = subscriber.received("alert")
    assert envelope["Message"]["outcome"] == "InvalidParameters"


def test_a_topic_that_is_down_does_not_change_the_run(
    buckets: Buckets, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    del subscriber
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:9")
    buckets.upload("a.raw", b"no echosounder wrote this")
    assert run(**parameters(buckets, "a.raw")) == "BadFile"
    assert tags(buckets, "a.raw")[TAG] == "BadFile"


def test_each_failed_file_of_a_batch_is_reported_and_in_quarantine(
    buckets: Buckets, subscriber: Subscriber
) -> None:
    buckets.upload("b/good.raw", SMALL)
    buckets.upload("b/bad.raw", b"no echosounder wrote this")
    buckets.upload("b/wrong.raw", EK60)
    files = [parameters(buckets, f"b/{name}.raw", "EK80") for name in ("bad", "good", "wrong")]
    state: Any = convert_raw_sonar_batch(files, max_workers=1, return_state=True)
    assert end_of(state) == ("FAILED", "Failed", "PartlyFailed")
    messages = {it["Message"]["file"]: it["Message"] for it in subscriber.received("notice")}
    assert {
        messages[files[0]["raw_file"]]["outcome"],
        messages[files[2]["raw_file"]]["outcome"],
    } == {
        "BadFile",
        "WrongModel",
    }
    assert len(messages) == 2
    assert tags(buckets, "b/bad.raw")[TAG] == "BadFile"
    assert tags(buckets, "b/good.raw") == {}
    stored = buckets.output.get("b/wrong.zarr.failure.json")
    assert stored is not None
    report = json.loads(stored.body)
    jsonschema.validate(report, SCHEMA)
    assert report["preflight"]["found"] == "EK60"


def test_fifty_failures_of_one_cause_are_one_message(
    buckets: Buckets, subscriber: Subscriber
) -> None:
    reports = [
        replace(REPORT, source=f"s3://inbox/HB0710/leg1/D{number}.raw") for number in range(50)
    ]
    threads = [threading.Thread(target=alerts.send_alerts, args=[[report]]) for report in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (envelope,) = subscriber.received("notice")
    assert envelope["Message"]["outcome"] == "BadFile"
    # Each of them is counted, and the first is reported.
    kept = buckets.output.list(".echodrop/incidents/")
    assert len(kept) == 51
    assert sum(key.endswith("/reported.json") for key in kept) == 1
    alerts.send_alerts([replace(REPORT, kind="hole")])
    assert len(subscriber.received("notice")) == 1


def test_an_incident_that_was_not_reported_is_not_marked_as_reported(
    buckets: Buckets, subscriber: Subscriber
) -> None:
    """The watchdog reports these."""
    channels = replace(
        Channels.of({"ECHODROP_NOTICE_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:gone"}),
        incidents=S3Location(buckets.output.bucket, ".echodrop/incidents/"),
    )
    alerts.send_alerts([REPORT], channels)
    (head,) = buckets.output.list(".echodrop/incidents/")
    assert head.endswith("/incident.json")
    assert subscriber.received("notice") == []


def test_an_incident_ends_with_its_window(
    buckets: Buckets, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts.send_alerts([REPORT])
    alerts.send_alerts([replace(REPORT, source="s3://inbox/other.raw")])
    assert len(subscriber.received("notice")) == 1
    monkeypatch.setattr(incidents, "WINDOW", timedelta(seconds=-1))
    alerts.send_alerts([replace(REPORT, source="s3://inbox/later.raw")])
    assert len(subscriber.received("notice")) == 1
    # The objects of the first incident still exist, separate from those of the new one.
    kept = buckets.output.list(".echodrop/incidents/")
    openings = Counter(key.split("/")[3] for key in kept if key.count("/") == 4)
    assert sorted(openings.values()) == [1, 3]


def test_a_failed_mark_repeats_the_message(subscriber: Subscriber) -> None:
    channels = replace(
        Channels.of({"ECHODROP_NOTICE_TOPIC_ARN": _topic(subscriber)}),
        incidents=S3Location("there-is-no-such-bucket", ""),
    )
    alerts.send_alerts([REPORT, REPORT], channels)
    assert len(subscriber.received("notice")) == 2


def _topic(subscriber: Subscriber) -> str:
    name = subscriber.queues["notice"].rpartition("/")[2]
    return f"arn:aws:sns:us-east-1:123456789012:{name}"


def test_a_good_file_sends_no_additional_requests(buckets: Buckets, subscriber: Subscriber) -> None:
    buckets.upload("a.raw", SMALL)
    given = parameters(buckets, "a.raw", "EK80")
    requests: Counter[str] = Counter()
    client = s3_client.s3_client(options_for(buckets.port))
    count = lambda model, **_: requests.update([model.name])  # noqa: E731 - unregistered below
    client.meta.events.register("before-call.s3", count)
    try:
        assert run(**given) == "Completed"
    finally:
        client.meta.events.unregister("before-call.s3", count)
    assert requests["ListObjectsV2"] <= 3
    assert not {"GetObjectTagging", "PutObjectTagging"} & requests.keys()
    # Only the claim is deleted.
    assert requests["DeleteObject"] + requests["DeleteObjects"] <= 1
    assert subscriber.received("alert") == subscriber.received("notice") == []

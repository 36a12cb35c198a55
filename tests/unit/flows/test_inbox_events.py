"""An inbox that also notifies others: they stay notified after EventBridge is added."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from flows.deployment.inbox_events import check_inbox, connect_inbox, with_events

OWN_SET = {
    "ResponseMetadata": {"HTTPStatusCode": 200},
    "QueueConfigurations": [{"Id": "q", "QueueArn": "arn:aws:sqs:r:1:q", "Events": ["x"]}],
    "LambdaFunctionConfigurations": [
        {"Id": "f", "LambdaFunctionArn": "arn:aws:lambda:r:1:function:f", "Events": ["x"]}
    ],
    "TopicConfigurations": [{"Id": "t", "TopicArn": "arn:aws:sns:r:1:t", "Events": ["x"]}],
}


class Inbox:
    """A moto bucket with the queue and function of a consumer, and a queue for EventBridge."""

    def __init__(self, session: boto3.Session) -> None:
        self.s3: Any = session.client("s3")
        self.sqs: Any = session.client("sqs")
        self.s3.create_bucket(Bucket="inbox")
        self.consumer, self.ours = (
            self.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("consumer", "ours")
        )
        self.s3.put_bucket_notification_configuration(
            Bucket="inbox",
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "Id": "consumer's",
                        "QueueArn": "arn:aws:sqs:us-east-1:123456789012:consumer",
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".raw"}]}},
                    }
                ],
                "LambdaFunctionConfigurations": [
                    {
                        "Id": "thumbnails",
                        "LambdaFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:thumbs",
                        "Events": ["s3:ObjectRemoved:*"],
                    }
                ],
            },
        )
        events: Any = session.client("events")
        events.put_rule(Name="uploads", EventPattern=json.dumps({"source": ["aws.s3"]}))
        target = {"Id": "ours", "Arn": "arn:aws:sqs:us-east-1:123456789012:ours"}
        events.put_targets(Rule="uploads", Targets=[target])

    def others(self) -> dict[str, Any]:
        """The configuration of others, as S3 returns it."""
        configuration = self.s3.get_bucket_notification_configuration(Bucket="inbox")
        return {
            name: configuration[name] for name in configuration if name.endswith("Configurations")
        }

    def received(self, queue: str) -> list[str]:
        """The bodies of a queue's messages without S3's test message."""
        messages = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        bodies = [each["Body"] for each in messages.get("Messages", [])]
        return [body for body in bodies if "s3:TestEvent" not in body]


@pytest.fixture
def inbox(session: boto3.Session) -> Inbox:
    return Inbox(session)


def test_a_consumer_s_queue_and_function_stay_and_an_upload_reaches_both(inbox: Inbox) -> None:
    before = inbox.others()
    assert {name: len(each) for name, each in before.items()} == {
        "QueueConfigurations": 1,
        "LambdaFunctionConfigurations": 1,
    }
    said: list[str] = []
    connect_inbox(inbox.s3, "inbox", said.append)
    assert said == ["send events of inbox inbox to EventBridge; its 2 other notifications stay"]
    assert inbox.others() == before
    inbox.s3.put_object(Bucket="inbox", Key="a.raw", Body=b"x")
    assert len(inbox.received(inbox.consumer)) == 1
    # moto sends an event for the upload, and another for its tags.
    assert inbox.received(inbox.ours)


def test_a_plain_configuration_would_remove_the_consumer(inbox: Inbox) -> None:
    """A plain configuration removes the others, so the test above can fail."""
    inbox.s3.put_bucket_notification_configuration(
        Bucket="inbox", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    assert inbox.others() == {}


def test_a_dry_run_changes_nothing(inbox: Inbox) -> None:
    said: list[str] = []
    connect_inbox(inbox.s3, "inbox", said.append, dry_run=True)
    assert said[0].startswith("would send events of inbox inbox to EventBridge")
    inbox.s3.put_object(Bucket="inbox", Key="a.raw", Body=b"x")
    assert inbox.received(inbox.ours) == []


def test_the_whole_configuration_from_s3_is_written_back() -> None:
    wanted = with_events(OWN_SET)
    assert wanted == {
        **{name: each for name, each in OWN_SET.items() if name != "ResponseMetadata"},
        "EventBridgeConfiguration": {},
    }
    # boto3's model of the configuration: a kind that AWS adds must not be lost.
    s3: Any = boto3.client("s3", region_name="us-east-1")
    shape = s3.meta.service_model.shape_for("NotificationConfiguration")
    assert set(shape.members) == set(wanted)


def test_a_connected_inbox_is_not_changed() -> None:
    class Telling:
        def get_bucket_notification_configuration(self, **_: str) -> dict[str, Any]:
            return {"EventBridgeConfiguration": {}}

    said: list[str] = []
    connect_inbox(Telling(), "inbox", said.append)
    assert said == ["inbox inbox already sends events to EventBridge"]
    assert check_inbox(Telling(), "inbox", "echodrop").problem is None


def test_the_check_names_the_step_that_keeps_the_others(inbox: Inbox) -> None:
    found = check_inbox(inbox.s3, "inbox", "survey")
    assert found.problem == "does not send events to EventBridge"
    assert found.fix == "echodrop deploy --stack survey --connect-inbox"

"""The sandbox's AWS server stores and notifies every key, and delivers events as AWS does."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from benchmarks.measuring.servers import moto
from sandbox.aws.aws_resources import VISIBILITY_TIMEOUT, make_stack
from sandbox.parts.environments import aws_clients
from sandbox.parts.ports import HOST
from sandbox.stack.template import UNUSED_PARAMETERS, ResourceNames, Stack

pytestmark = pytest.mark.slow

STACK = Stack.read(
    UNUSED_PARAMETERS | {"PrefectApiUrl": "http://127.0.0.1:9/api", "PrefectAuth": "none"}
)
NAMES = ResourceNames.of(STACK)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("logs")) as port:
        url = f"http://{HOST}:{port}"
        make_stack(aws_clients(url), STACK)
        yield url


@pytest.mark.parametrize(
    "key", ["plain.raw", "leg 2/50% + ÅÆ#1?.raw", "a%2Fb.raw", "-dash+plus&amp;.raw", "x//y.raw"]
)
def test_a_key_is_stored_listed_and_notified_unchanged(endpoint: str, key: str) -> None:
    client = aws_clients(endpoint)
    s3, sqs = client("s3"), client("sqs")
    queue = sqs.get_queue_url(QueueName=NAMES.notifications_queue)["QueueUrl"]
    s3.put_object(Bucket=NAMES.inbox_bucket, Key=key, Body=b"ping")
    try:
        listed = s3.list_objects_v2(Bucket=NAMES.inbox_bucket)["Contents"]
        assert [item["Key"] for item in listed] == [key]
        assert s3.get_object(Bucket=NAMES.inbox_bucket, Key=key)["Body"].read() == b"ping"
        received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=received[0]["ReceiptHandle"])
        detail = json.loads(received[0]["Body"])["detail"]
        assert (detail["bucket"]["name"], detail["object"]["key"]) == (NAMES.inbox_bucket, key)
    finally:
        s3.delete_object(Bucket=NAMES.inbox_bucket, Key=key)


def put_stopped(
    client: Any, exit_code: int, family: str = "convert", agent: int | None = None
) -> None:
    """Send the event of a stopped task; `agent` is the exit code of an injected container."""
    injected = [] if agent is None else [{"name": "aws-guardduty-agent", "exitCode": agent}]
    detail = {
        "clusterArn": STACK.resolver.resolve({"Fn::GetAtt": ["Cluster", "Arn"]}),
        "group": f"family:echodrop-{family}",
        "lastStatus": "STOPPED",
        "stopCode": "EssentialContainerExited",
        "taskArn": "arn:of:the:task",
        "stoppedReason": 'Essential "container" exited',
        "containers": [*injected, {"name": "prefect", "exitCode": exit_code}],
    }
    entry = {"Source": "aws.ecs", "DetailType": "ECS Task State Change"}
    client("events").put_events(Entries=[entry | {"Detail": json.dumps(detail)}])


def received(client: Any, queue: str, wait: int = 5) -> list[str]:
    """Receive and delete the messages of a queue."""
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=wait, MaxNumberOfMessages=10)
    for message in answer.get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in answer.get("Messages", [])]


@pytest.fixture(scope="module")
def alerts(endpoint: str) -> str:
    """Return the name of a queue that is subscribed to the alerts."""
    client, name = aws_clients(endpoint), "received-alerts"
    client("sqs").create_queue(QueueName=name)
    arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
    client("sns").subscribe(TopicArn=NAMES.alert_topic, Protocol="sqs", Endpoint=arn)
    return name


def test_a_stopped_tasks_event_reaches_the_workers_queue_with_a_date(
    endpoint: str,
) -> None:
    client = aws_clients(endpoint)
    put_stopped(client, 0)
    (message,) = received(client, NAMES.task_events_queue)
    event = json.loads(message)
    assert event["detail-type"] == "ECS Task State Change"
    assert datetime.fromisoformat(event["time"]).year > 2000


def test_a_failed_task_sends_the_templates_message_to_the_alert_topic(
    endpoint: str, alerts: str
) -> None:
    client = aws_clients(endpoint)
    put_stopped(client, 0)
    # Killed for its memory: the trigger retries it.
    put_stopped(client, 137)
    assert received(client, alerts, wait=0) == []
    assert "family:echodrop-convert" in received(client, NAMES.notifications_queue)[0]
    put_stopped(client, 139)
    (message,) = received(client, alerts)
    text = json.loads(json.loads(message)["Message"])
    assert text.startswith("A task stopped with an error at 20")
    assert text.endswith(
        'Essential "container" exited. family:echodrop-convert, task arn:of:the:task'
    )
    put_stopped(client, 1, "operations")
    (message,) = received(client, alerts)
    assert "family:echodrop-operations" in message
    received(client, NAMES.task_events_queue)


def test_the_exit_of_an_injected_agent_is_sent_only_to_the_worker(
    endpoint: str, alerts: str
) -> None:
    client = aws_clients(endpoint)
    put_stopped(client, 0, agent=137)
    put_stopped(client, 0, agent=1)
    assert received(client, NAMES.notifications_queue, wait=0) == []
    assert received(client, alerts, wait=0) == []
    put_stopped(client, 137, agent=0)
    assert len(received(client, NAMES.notifications_queue)) == 1
    assert received(client, alerts, wait=0) == []
    received(client, NAMES.task_events_queue)


def test_an_event_that_a_target_rejects_is_in_its_dead_letter_queue(endpoint: str) -> None:
    client = aws_clients(endpoint)
    arn = "arn:aws:sqs:us-east-1:123456789012:"
    events, sqs = client("events"), client("sqs")
    sqs.create_queue(QueueName="rejected")
    events.put_rule(Name="into-nothing", EventPattern=json.dumps({"source": ["test"]}))
    dead = {"Arn": f"{arn}rejected"}
    targets = [{"Id": "gone", "Arn": f"{arn}gone", "DeadLetterConfig": dead}]
    events.put_targets(Rule="into-nothing", Targets=targets)
    events.put_events(Entries=[{"Source": "test", "DetailType": "any", "Detail": '{"a": 1}'}])
    (message,) = received(client, "rejected")
    assert json.loads(message)["detail"] == {"a": 1}


def test_a_scheduled_rule_gets_no_events(endpoint: str) -> None:
    client = aws_clients(endpoint)
    client("events").put_events(Entries=[{"Source": "x", "DetailType": "y", "Detail": "{}"}])
    assert received(client, NAMES.notifications_queue, wait=0) == []


def test_the_stack_is_found_with_its_outputs_and_its_rules_document(endpoint: str) -> None:
    client = aws_clients(endpoint)
    (found,) = client("cloudformation").describe_stacks(StackName="echodrop")["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}
    assert {key: value for key, value in STACK.outputs().items() if key != "Subnets"}.items() <= (
        outputs.items()
    )
    rules = client("ssm").get_parameter(Name=outputs["RulesParameter"])["Parameter"]["Value"]
    assert rules == STACK.properties("RulesDocument")["Value"]


@pytest.mark.parametrize("logical_id", STACK.of_type("AWS::SQS::Queue"))
def test_a_queue_matches_the_template_except_the_visibility_timeout(
    endpoint: str, logical_id: str
) -> None:
    sqs, wanted = aws_clients(endpoint)("sqs"), STACK.properties(logical_id)
    url = sqs.get_queue_url(QueueName=wanted["QueueName"])["QueueUrl"]
    made = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    timeout = VISIBILITY_TIMEOUT
    # The default is SQS's.
    visible = timeout if logical_id == "UploadQueue" else wanted.get("VisibilityTimeout", 30)
    assert int(made["VisibilityTimeout"]) == visible
    assert int(made["MessageRetentionPeriod"]) == wanted["MessageRetentionPeriod"]
    redrive, expected = json.loads(made.get("RedrivePolicy", "{}")), wanted.get("RedrivePolicy", {})
    assert redrive.get("deadLetterTargetArn") == expected.get("deadLetterTargetArn")
    assert redrive.get("maxReceiveCount") == (
        (expected and int(expected["maxReceiveCount"])) or None
    )

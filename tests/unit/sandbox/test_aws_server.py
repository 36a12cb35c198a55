"""moto behind a server of one's own still takes every key S3 takes, and tells of it."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.aws_resources import Delivery, ResourceNames, create_resources, rules_document
from sandbox.environments import aws_environment
from sandbox.ports import HOST, free_port
from sandbox.prefect_server import answers
from sandbox.processes import Part
from sandbox.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[3]
NAMES = ResourceNames()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    url = f"http://{HOST}:{port}"
    server = Part(
        "aws",
        [sys.executable, "-m", "sandbox.aws_server", "--port", str(port)],
        {**os.environ, "PYTHONPATH": str(PROJECT)},
        tmp_path_factory.mktemp("logs") / "aws.log",
        is_ready=lambda: answers(f"{url}/moto-api/"),
    )
    server.start()
    try:
        wait_until(server.poll_ready, 60, "moto")
        create_resources(connect(url), NAMES, Delivery(), rules_document(NAMES))
        yield url
    finally:
        server.stop()


def connect(url: str) -> Any:
    keys = aws_environment(url)

    def client(service: str) -> Any:
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            endpoint_url=url,
            region_name=keys["AWS_REGION"],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )

    return client


@pytest.mark.parametrize(
    "key", ["plain.raw", "leg 2/50% + ÅÆ#1?.raw", "a%2Fb.raw", "-dash+plus&amp;.raw", "x//y.raw"]
)
def test_a_key_is_stored_listed_and_notified_as_it_was_given(endpoint: str, key: str) -> None:
    client = connect(endpoint)
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


def test_a_stopped_task_is_told_to_the_workers_queue_with_a_date_it_can_read(
    endpoint: str,
) -> None:
    client = connect(endpoint)
    client("events").put_events(
        Entries=[{"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Detail": "{}"}]
    )
    sqs = client("sqs")
    queue = sqs.get_queue_url(QueueName=NAMES.task_events_queue)["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    told = json.loads(message["Body"])
    assert told["detail-type"] == "ECS Task State Change"
    assert datetime.fromisoformat(told["time"]).year > 2000

"""The event source handles batches as Lambda's SQS event source mapping does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.aws.event_source import EventSource, SandboxLambdaContext, failed_messages
from sandbox.stack.template import TriggerDefinition

IDS = ["one", "two", "three"]
PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "two"}]}, {"two"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, set(IDS)),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, set(IDS)),
        ({"batchItemFailures": [{"itemId": "two"}]}, set(IDS)),
        ({"batchItemFailures": [{"itemIdentifier": "four"}]}, set(IDS)),
        ({"batchItemFailures": ["two"]}, set(IDS)),
        ({"batchItemFailures": "two"}, set(IDS)),
        ("done", set(IDS)),
    ],
)
def test_failed_messages_of_a_response(response: object, failed: set[str]) -> None:
    assert failed_messages(response, IDS) == failed


@pytest.fixture
def queue(session: boto3.Session) -> Any:
    session.client("sqs").create_queue(QueueName="dead")
    return session.resource("sqs").create_queue(
        QueueName="notifications",
        Attributes={
            "VisibilityTimeout": "0",
            "RedrivePolicy": (
                '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead",'
                ' "maxReceiveCount": 2}'
            ),
        },
    )


def bodies(queue_url: str) -> list[str]:
    answer = boto3.client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
    return sorted(message["Body"] for message in answer.get("Messages", []))


def source(queue: Any, handler: Any, **options: Any) -> EventSource:
    found = {"batch_size": 10, "partial_failures": True, **options}
    function = TriggerDefinition("trigger", "", 5, 512, {}, "", maximum_concurrency=2, **found)
    return EventSource(queue.url, handler, function)


def test_a_batch_has_ten_messages_in_lambdas_format(queue: Any) -> None:
    for number in range(12):
        queue.send_message(MessageBody=str(number))
    events: list[dict[str, Any]] = []
    poller = source(queue, lambda event, _: events.append(event))
    assert [poller.poll(0), poller.poll(0), poller.poll(0)] == [10, 2, 0]
    record = events[0]["Records"][0]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:notifications"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert sorted(int(r["body"]) for event in events for r in event["Records"]) == list(range(12))


def test_a_failed_message_stays_and_the_others_are_deleted(queue: Any) -> None:
    for body in ("good", "bad"):
        queue.send_message(MessageBody=body)

    def handler(event: dict[str, Any], _: SandboxLambdaContext) -> dict[str, Any]:
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["messageId"]}
                for record in event["Records"]
                if record["body"] == "bad"
            ]
        }

    source(queue, handler).poll(0)
    assert bodies(queue.url) == ["bad"]


def test_an_invocation_that_raises_deletes_nothing_and_ends_in_the_dead_letter_queue(
    queue: Any,
) -> None:
    queue.send_message(MessageBody="poison")

    def handler(event: dict[str, Any], _: SandboxLambdaContext) -> None:
        raise ValueError("no")

    poller = source(queue, handler)
    assert [poller.poll(0) for _ in range(3)] == [1, 1, 0]
    dead = boto3.client("sqs").get_queue_url(QueueName="dead")["QueueUrl"]
    assert bodies(dead) == ["poison"]


def test_without_partial_failures_the_whole_batch_is_deleted(queue: Any) -> None:
    for number in range(3):
        queue.send_message(MessageBody=str(number))

    def handler(event: dict[str, Any], _: SandboxLambdaContext) -> dict[str, Any]:
        return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}

    poller = source(queue, handler, batch_size=2, partial_failures=False)
    assert [poller.poll(0), poller.poll(0), poller.poll(0)] == [2, 1, 0]
    assert bodies(queue.url) == []


def test_the_contexts_remaining_time_decreases_to_zero() -> None:
    context = SandboxLambdaContext("trigger", timeout=0.2)
    assert 0 < context.get_remaining_time_in_millis() <= 200
    time.sleep(0.21)
    assert context.get_remaining_time_in_millis() == 0
    assert context.aws_request_id != SandboxLambdaContext("trigger", 1).aws_request_id


def test_an_invocation_that_exceeds_the_timeout_restarts_the_environment(
    tmp_path: Path,
) -> None:
    """The process executes itself again; here `os.execv` only prints the command."""
    script = (
        "import os, signal, sys, time\n"
        "from sandbox.aws import event_source\n"
        "os.execv = lambda path, command: (print(*command[1:3]), os._exit(7))\n"
        "signal.signal(signal.SIGALRM, event_source._time_out)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.2)\n"
        "time.sleep(30)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=25,
    )
    assert (done.returncode, done.stdout.strip()) == (7, "-m sandbox.aws.event_source")
    assert signal.getsignal(signal.SIGALRM) is not None

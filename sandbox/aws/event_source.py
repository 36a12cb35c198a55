"""Calls the trigger as Lambda's SQS event source mapping does.

Each process of this module is one Lambda environment: it polls the queue, calls
the handler with a batch, and deletes the messages that did not fail. SQS delivers
the others again after the visibility timeout.
"""

import argparse
import json
import logging
import os
import pkgutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.stack.names import AwsAccount
from sandbox.stack.template import TriggerDefinition

log = logging.getLogger("sandbox.aws.event_source")

# Of a long poll.
_POLL_SECONDS = 2


@dataclass(frozen=True)
class SandboxLambdaContext:
    """The context argument of a Lambda handler; timeout in seconds, memory in MiB."""

    function_name: str
    timeout: float
    memory_limit_in_mb: int = 512
    function_version: str = "$LATEST"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _started: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        region = os.environ.get("AWS_REGION", "us-east-1")
        return AwsAccount(region=region).arn("AWS::Lambda::Function", self.function_name)

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left until the invocation times out."""
        left = self.timeout - (time.monotonic() - self._started)
        return max(0, int(left * 1000))


def count_invocation(function: str, errors: int) -> None:
    """Write Lambda's own metrics of an invocation as a log line."""
    metrics = [{"Name": name, "Unit": "Count"} for name in ("Invocations", "Errors")]
    directive = {"Namespace": "AWS/Lambda", "Dimensions": [["FunctionName"]], "Metrics": metrics}
    line = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
        "FunctionName": function,
        "Invocations": 1,
        "Errors": errors,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


Handler = Callable[[dict[str, Any], SandboxLambdaContext], Any]


class EventSource:
    """Polls a queue and calls a handler."""

    def __init__(self, queue_url: str, handler: Handler, function: TriggerDefinition) -> None:
        self._sqs = boto3.client("sqs")
        self._queue_url, self._handler, self._function = queue_url, handler, function
        self.is_invoking = False
        answer = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        self._queue_arn = answer["Attributes"]["QueueArn"]

    def poll(self, wait_seconds: int) -> int:
        """Receive and handle one batch, delete the messages that did not fail, return the batch size."""
        messages: Sequence[Any] = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._function.batch_size,
            WaitTimeSeconds=wait_seconds,
            AttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            failed = self._invoke(messages)
            self._delete([message for message in messages if message["MessageId"] not in failed])
        return len(messages)

    def _invoke(self, messages: Sequence[Any]) -> set[str]:
        ids = [message["MessageId"] for message in messages]
        function = self._function
        context = SandboxLambdaContext(function.name, function.timeout, function.memory)
        self.is_invoking = True
        signal.setitimer(signal.ITIMER_REAL, function.timeout)
        try:
            response = self._handler(lambda_event(messages, self._queue_arn), context)
        except Exception:
            # As in Lambda, the whole batch fails if the handler raises.
            log.exception("the handler raised; %s messages failed", len(ids))
            count_invocation(function.name, errors=1)
            return set(ids)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.is_invoking = False
        failed = failed_messages(response, ids) if function.partial_failures else set()
        log.info("batch of %s messages, %s failed", len(ids), len(failed))
        return failed

    def _delete(self, messages: Sequence[Any]) -> None:
        if messages:
            self._sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )


def lambda_event(messages: Iterable[Mapping[str, Any]], queue_arn: str) -> dict[str, Any]:
    """Convert received SQS messages to a Lambda event."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": queue_arn.split(":")[3],
            }
            for message in messages
        ]
    }


def failed_messages(response: object, message_ids: Sequence[str]) -> set[str]:
    """Return the ids of a batch's messages that failed according to the handler's response.

    With `ReportBatchItemFailures`, an empty response or list means that no message
    failed. An invalid response, or an identifier that is empty or not in the batch,
    means that all failed:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    if response is None:
        return set()
    everything = set(message_ids)
    if not isinstance(response, dict):
        return everything
    try:
        failed = {each["itemIdentifier"] for each in response.get("batchItemFailures") or []}
    except (TypeError, KeyError):
        return everything
    return failed if failed.issubset(everything) else everything


def _time_out(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler's signature
    # Lambda replaces the environment with a new one.
    log.error("the invocation exceeded the function's timeout; restarting")
    os.execv(sys.executable, [sys.executable, "-m", "sandbox.aws.event_source", *sys.argv[1:]])  # noqa: S606 - itself


def main() -> None:
    """Poll until SIGTERM (`python -m sandbox.aws.event_source ...`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--function", type=json.loads, required=True, help="the template's")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    signal.signal(signal.SIGALRM, _time_out)
    function = TriggerDefinition(**arguments.function)
    # A handler's name in Lambda is package.module.function.
    source = EventSource(arguments.queue_url, pkgutil.resolve_name(function.handler), function)
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        if not source.is_invoking:
            raise SystemExit
        stopping.append(number)

    signal.signal(signal.SIGTERM, stop)
    log.info("polling %s", arguments.queue_url)
    while not stopping:
        try:
            source.poll(_POLL_SECONDS)
        except (BotoCoreError, ClientError) as problem:
            log.warning("the queue does not answer: %s", problem)
            time.sleep(1)


if __name__ == "__main__":
    main()

"""Builds the event and context of an SQS-triggered Lambda, and reads the response."""

import json
import os
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.stack.names import AwsAccount


@dataclass(frozen=True)
class SandboxLambdaContext:
    """The context argument of a Lambda handler.

    Attributes:
        function_name: the function's name.
        timeout: seconds an invocation may take.
        memory_limit_in_mb: the function's memory in MiB.
    """

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
    everything = set(message_ids)
    if response is None or response == {}:
        return set()
    if not isinstance(response, dict):
        return everything
    failures = response.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return everything
    failed = set()
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if identifier not in everything:
            return everything
        failed.add(identifier)
    return failed

"""Calls the trigger as Lambda's SQS event source mapping does.

Each process of this module is one Lambda environment: it polls the queue, calls
the handler with a batch, and deletes the messages that did not fail. SQS delivers
the others again after the visibility timeout.
"""

import argparse
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.aws.lambda_invocation import (
    SandboxLambdaContext,
    count_invocation,
    failed_messages,
    lambda_event,
)

log = logging.getLogger("sandbox.aws.event_source")

Handler = Callable[[dict[str, Any], SandboxLambdaContext], Any]


@dataclass(frozen=True)
class SourceMapping:
    """An event source mapping and its function, as the template defines them.

    Attributes:
        function_name: the function's name.
        timeout: seconds an invocation may take.
        memory: the function's memory in MiB.
        batch_size: most messages in one invocation.
        partial_failures: whether the response lists the failed messages
            (`ReportBatchItemFailures`). Otherwise an invocation that returns
            has handled its whole batch.
    """

    function_name: str
    timeout: float
    memory: int = 512
    batch_size: int = 10
    partial_failures: bool = True


class EventSource:
    """Polls a queue and calls a handler."""

    def __init__(self, queue_url: str, handler: Handler, mapping: SourceMapping) -> None:
        self._sqs = boto3.client("sqs")
        self._queue_url, self._handler, self._mapping = queue_url, handler, mapping
        self.is_invoking = False
        answer = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        self._queue_arn = answer["Attributes"]["QueueArn"]

    def poll(self, wait_seconds: int) -> int:
        """Receive and handle one batch, delete the messages that did not fail, return the batch size."""
        messages: Sequence[Any] = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._mapping.batch_size,
            WaitTimeSeconds=wait_seconds,
            AttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            failed = self._invoke(messages)
            self._delete([message for message in messages if message["MessageId"] not in failed])
        return len(messages)

    def _invoke(self, messages: Sequence[Any]) -> set[str]:
        ids = [message["MessageId"] for message in messages]
        mapping = self._mapping
        context = SandboxLambdaContext(mapping.function_name, mapping.timeout, mapping.memory)
        self.is_invoking = True
        signal.setitimer(signal.ITIMER_REAL, mapping.timeout)
        try:
            response = self._handler(lambda_event(messages, self._queue_arn), context)
        except Exception:
            # As in Lambda, the whole batch fails if the handler raises.
            log.exception("the handler raised; %s messages failed", len(ids))
            count_invocation(mapping.function_name, errors=1)
            return set(ids)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.is_invoking = False
        failed = failed_messages(response, ids) if mapping.partial_failures else set()
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


def load_handler(name: str) -> Handler:
    """Import a handler by its Lambda name, `package.module.function`."""
    module, _, function = name.rpartition(".")
    loaded: Handler = getattr(importlib.import_module(module), function)
    return loaded


def _time_out(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler's signature
    # Lambda replaces the environment with a new one.
    log.error("the invocation exceeded the function's timeout; restarting")
    os.execv(sys.executable, [sys.executable, "-m", "sandbox.aws.event_source", *sys.argv[1:]])  # noqa: S606 - itself


def main() -> None:
    """Poll until SIGTERM (`python -m sandbox.aws.event_source ...`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--handler", required=True)
    parser.add_argument("--function-name", required=True)
    parser.add_argument(
        "--timeout", type=float, required=True, help="seconds an invocation may take"
    )
    parser.add_argument("--memory", type=int, required=True, help="the function's memory in MiB")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--partial-failures", action="store_true")
    parser.add_argument("--wait", type=int, default=2, help="seconds of a long poll")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    signal.signal(signal.SIGALRM, _time_out)
    source = EventSource(
        arguments.queue_url,
        load_handler(arguments.handler),
        SourceMapping(
            arguments.function_name,
            arguments.timeout,
            arguments.memory,
            arguments.batch_size,
            arguments.partial_failures,
        ),
    )
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        if not source.is_invoking:
            raise SystemExit
        stopping.append(number)

    signal.signal(signal.SIGTERM, stop)
    log.info("polling %s", arguments.queue_url)
    while not stopping:
        try:
            source.poll(arguments.wait)
        except (BotoCoreError, ClientError) as problem:
            log.warning("the queue does not answer: %s", problem)
            time.sleep(1)


if __name__ == "__main__":
    main()

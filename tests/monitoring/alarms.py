"""Replaces CloudWatch: evaluates the template's alarms on metrics in logs and on queue depths.

Some metrics are not in the logs: those of the ECS service, of EventBridge and of the
reconciliation. Their alarms are not evaluated.
"""

import argparse
import json
import logging
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.trigger_log import NewLines
from tests.monitoring.alarm_states import Alarm, Sample, alarm_notification, samples_of

log = logging.getLogger("tests.monitoring.alarms")

DEPTH = "ApproximateNumberOfMessagesVisible"
_KEPT = 20_000


def can_be_evaluated(alarm: Alarm, functions: set[str]) -> bool:
    """Return whether the sandbox produces the alarm's metric."""
    namespace, name, dimensions = alarm.metric
    if namespace == "AWS/SQS":
        return name == DEPTH
    if namespace == "AWS/Lambda":
        return bool({value for _, value in dimensions} & functions)
    return namespace == "echodrop" and ("service", "reconcile") not in dimensions


class CloudWatch:
    """Holds the alarms, their states and the samples."""

    def __init__(self, alarms: list[Alarm], logs: NewLines, speedup: float) -> None:
        self._alarms, self._logs, self._speedup = alarms, logs, speedup
        self._sqs, self._sns = boto3.client("sqs"), boto3.client("sns")
        self._states = dict.fromkeys((alarm.name for alarm in alarms), "INSUFFICIENT_DATA")
        self._samples: deque[Sample] = deque(maxlen=_KEPT)
        self._began = time.time()

    def step(self) -> None:
        """Read new samples, evaluate every alarm and publish state changes."""
        for line in self._logs.read():
            self._samples += samples_of(line, self._speedup)
        now = time.time()
        self._samples += [
            Sample(alarm.metric, now, self._depth(alarm))
            for alarm in self._alarms
            if alarm.metric[0] == "AWS/SQS"
        ]
        for alarm in self._alarms:
            if now - self._began < alarm.window:
                continue
            before = self._states[alarm.name]
            state = alarm.state(self._samples, now, before)
            self._states[alarm.name] = state
            # The first OK is not a recovery.
            if state != before and (state, before) != ("OK", "INSUFFICIENT_DATA"):
                self._publish(alarm, state, before)

    def _depth(self, alarm: Alarm) -> float:
        (name,) = (value for key, value in alarm.metric[2] if key == "QueueName")
        url = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
        answer = self._sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return float(answer["Attributes"]["ApproximateNumberOfMessages"])

    def _publish(self, alarm: Alarm, state: str, before: str) -> None:
        log.info("%s: %s", alarm.name, state)
        at = datetime.now(UTC).isoformat()
        for topic in alarm.alarm_actions if state == "ALARM" else alarm.ok_actions:
            *_, region, account, _ = topic.split(":")
            message = alarm_notification(
                alarm, state, before, at=at, region=region, account=account
            )
            self._sns.publish(
                TopicArn=topic,
                Subject=f'{state}: "{alarm.name}"',
                Message=json.dumps(message),
            )


def main() -> None:
    """Evaluate the alarms until SIGTERM (`python -m tests.monitoring.alarms ...`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=json.loads, required=True, help="alarm properties by name")
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--speedup", type=float, required=True)
    parser.add_argument(
        "--function", action="append", default=[], help="a Lambda function to watch"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    definitions: dict[str, dict[str, Any]] = arguments.alarms
    alarms = [Alarm.of(name, each, arguments.speedup) for name, each in definitions.items()]
    alarms = [each for each in alarms if can_be_evaluated(each, set(arguments.function))]
    watch = CloudWatch(alarms, NewLines(arguments.logs), arguments.speedup)
    log.info("evaluating %s of %s alarms", len(alarms), len(definitions))
    while True:
        try:
            watch.step()
        except (BotoCoreError, ClientError) as problem:
            log.warning("AWS does not answer: %s", problem)
        time.sleep(0.5)


if __name__ == "__main__":
    main()

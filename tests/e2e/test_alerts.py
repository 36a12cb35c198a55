"""What goes wrong is told, and that it is over too; the system's time runs thirty times faster here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import ecs_worker, prefect_server
from sandbox.aws_resources import Delivery
from sandbox.inbox import Inbox
from sandbox.prefect_api import FlowRun
from sandbox.sample_file import write_sample
from sandbox.system import Sandbox, SandboxOptions
from sandbox.waiting import wait_until

pytestmark = pytest.mark.xdist_group("alerts")

NAMED = ("file", "outcome", "why", "run_url", "replay", "cruise", "sonar_model", "remedy")


# What the rule on stopped tasks says.
STOPPED = "stopped with an error"


class Listener:
    """A queue that hears both topics."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sqs, sns = sandbox.client("sqs"), sandbox.client("sns")
        self._url = self._sqs.create_queue(QueueName="heard")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        outputs = sandbox.stack.outputs()
        self.topics = {"alerts": outputs["Alerts"], "notices": outputs["Notices"]}
        for topic in self.topics.values():
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        self.heard: list[dict[str, Any]] = []
        self._from = 0

    def listen(self) -> list[dict[str, Any]]:
        """All envelopes so far, the newest last."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                self.heard.append(json.loads(message["Body"]))
        return self.heard

    def alarm(self, name: str, state: str, within: float) -> dict[str, Any]:
        """Wait for an alarm's change to a state."""
        subject = f'{state}: "{name}"'
        return wait_until(
            lambda: self._next(subject),
            within,
            subject,
            told=lambda: str([it.get("Subject") or it["Message"] for it in self.heard]),
        )

    def begin(self) -> None:
        """Leave out what was heard so far."""
        self._from = len(self.listen())

    def _next(self, subject: str) -> dict[str, Any] | None:
        for place, envelope in enumerate(self.listen()):
            if place >= self._from and envelope.get("Subject") == subject:
                self._from = place + 1
                return envelope
        return None

    def failures(self) -> list[dict[str, Any]]:
        """The messages of failed runs, with their topic."""
        told = [it for it in self.listen() if (it.get("Subject") or "").startswith("BadFile")]
        messages = [{**json.loads(it["Message"]), "topic": it["TopicArn"]} for it in told]
        return [each for each in messages if each["event"] == "failure"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    options = SandboxOptions(
        parameters={"MaxReceiveCount": "10"},
        delivery=Delivery(visibility_timeout=2),
        function_timeout=5,
        watched_speedup=30,
    )
    with Sandbox(tmp_path_factory.mktemp("watched"), options) as running:
        yield running


@pytest.fixture(scope="module")
def listener(sandbox: Sandbox) -> Listener:
    return Listener(sandbox)


def test_a_failed_run_is_told_within_seconds_and_one_cause_once(
    sandbox: Sandbox, listener: Listener, real_data: Path, tmp_path: Path
) -> None:
    inbox = Inbox(sandbox)
    cut = tmp_path / "cut.raw"
    cut.write_bytes((real_data / "ek60/D20070724-T042400.raw").read_bytes()[:-1000])
    keys = [f"HB0710/cut-{number}.raw" for number in range(3)]
    for key in keys:
        inbox.drop(cut, key)
    ends = inbox.wait_for_ends(keys, 240)
    assert {run.state_name for run in ends.values()} == {"BadFile"}
    wait_until(listener.failures, 10, "the alert")
    (told,) = listener.failures()
    assert told["topic"] == listener.topics["notices"]
    assert all(told[name] for name in NAMED)
    assert told["file"] in {inbox.uri(key) for key in keys}
    assert told["replay"] == f"echodrop replay {told['file']}"
    # The others are counted, in one message more.
    grown = wait_until(
        lambda: next(
            (it for it in listener.listen() if "growing" in (it.get("Subject") or "")), None
        ),
        30,
        "the incident's count",
    )
    assert json.loads(grown["Message"])["count"] in {2, 3}
    notes = [key for key in inbox.outputs(".echodrop/incidents/") if not key.endswith("told.json")]
    assert len(notes) == 3
    # A file's own fault is no failure of a task or of the system, and wakes nobody.
    woken = [it for it in listener.heard if it["TopicArn"] == listener.topics["alerts"]]
    assert not [it for it in woken if "BadFile" in it["Message"] or STOPPED in it["Message"]]
    assert not [it for it in woken if "RunsFailedAlarm" in it["Message"]]


def test_a_killed_task_is_told(sandbox: Sandbox, listener: Listener, tmp_path: Path) -> None:
    inbox = Inbox(sandbox)
    inbox.drop(write_sample(tmp_path / "killed.raw").path, "killed.raw")
    run = wait_until(lambda: running(inbox, "killed.raw"), 120, "the run to start")
    listener.begin()
    sandbox.flow_process(run.id).kill()
    wait_until(
        lambda: any(STOPPED in it["Message"] for it in listener.listen()),
        30,
        "the rule's alert",
    )
    # Killed with 137 it is started again on the next tier by itself: told of, and mended.
    wait_until(
        lambda: sandbox.api.flow_run(run.id).state_name == "Completed",
        120,
        "the same run to be mended",
        every=0.5,
    )


def test_a_dead_worker_is_told_and_that_it_is_back(sandbox: Sandbox, listener: Listener) -> None:
    listener.begin()
    sandbox.stop_part(ecs_worker.NAME)
    listener.alarm("WorkerHeartbeatAlarm", "ALARM", 60)
    sandbox.start_part(ecs_worker.NAME)
    listener.alarm("WorkerHeartbeatAlarm", "OK", 60)


def test_a_dead_prefect_and_what_the_trigger_gives_up_are_told(
    sandbox: Sandbox, listener: Listener, tmp_path: Path
) -> None:
    inbox = Inbox(sandbox)
    listener.begin()
    sandbox.stop_part(prefect_server.NAME)
    inbox.drop(write_sample(tmp_path / "lost.raw", pings=20).path, "lost.raw")
    listener.alarm("PrefectAlarm", "ALARM", 60)
    listener.alarm("UploadDeadLettersAlarm", "ALARM", 180)
    sandbox.start_part(prefect_server.NAME)
    listener.alarm("PrefectAlarm", "OK", 60)
    sqs = sandbox.client("sqs")
    dead = sqs.get_queue_url(QueueName=sandbox.names.dead_letter_queue)["QueueUrl"]
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=dead).get("Messages"):
        for message in messages:
            sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
    listener.alarm("UploadDeadLettersAlarm", "OK", 60)
    assert inbox.wait_for_ends(["lost.raw"], 180)["lost.raw"].state_name == "Completed"


def running(inbox: Inbox, key: str) -> FlowRun | None:
    found = next((run for run in inbox.runs([key])[key] if run.state_type == "RUNNING"), None)
    time.sleep(0.2)
    return found

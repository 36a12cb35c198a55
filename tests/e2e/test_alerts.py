"""What goes wrong is told, and that it is over too; the system's time runs thirty times faster here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox import ecs_worker, prefect_server
from sandbox.aws_resources import Delivery
from sandbox.inbox import Inbox
from sandbox.prefect_api import FlowRun
from sandbox.programs import SCHEDULER
from sandbox.sample_file import write_sample
from sandbox.system import TRIGGER, Sandbox, SandboxOptions
from sandbox.waiting import wait_until
from watchdog.handler import WatchdogClients, look
from watchdog.settings import read_settings

pytestmark = pytest.mark.xdist_group("alerts")

SMALL = "ek80/-1519668699940320059.raw"
# A cruise whose files share tasks.
STORM = "HB1999/"
# One whose rule names a deployment that is not there.
LOST, DEPLOYMENT, NO_DEPLOYMENT = "lost/", "convert-raw-sonar/ecs", "convert-raw-sonar/no-such"
INCIDENTS = ".echodrop/incidents/"

NAMED = ("file", "outcome", "why", "run_url", "replay", "cruise", "sonar_model", "remedy")


# What the rule on stopped tasks says.
STOPPED = "stopped with an error"


class Listener:
    """A queue that hears both topics."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sqs, self._sns = sandbox.client("sqs"), sandbox.client("sns")
        self._url = self._sqs.create_queue(QueueName="heard")["QueueUrl"]
        outputs = sandbox.stack.outputs()
        self.topics = {"alerts": outputs["Alerts"], "notices": outputs["Notices"]}
        for topic in self.topics.values():
            self.subscribe(topic)
        self.heard: list[dict[str, Any]] = []
        self._from = 0

    def subscribe(self, topic: str) -> None:
        """Hear a topic."""
        told = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        arn = told["Attributes"]["QueueArn"]
        self._sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

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
            told=self._subjects,
        )

    def all_of(self, subjects: Collection[str], within: float) -> None:
        """Wait until all of these have come, in any order, since `begin`."""

        def heard() -> bool:
            return set(subjects) <= {it.get("Subject") for it in self.listen()[self._from :]}

        wait_until(heard, within, str(subjects), told=self._subjects)

    def _subjects(self) -> str:
        return str([it.get("Subject") or it["Message"] for it in self.heard])

    def begin(self) -> None:
        """Leave out what was heard so far."""
        self._from = len(self.listen())

    def _next(self, subject: str) -> dict[str, Any] | None:
        for place, envelope in enumerate(self.listen()):
            if place >= self._from and envelope.get("Subject") == subject:
                self._from = place + 1
                return envelope
        return None

    def failures(self, cruise: str) -> list[dict[str, Any]]:
        """What failed runs of a cruise told, and when and where SNS took it."""
        return self._told("failure", cruise)

    def incidents(self, cruise: str) -> list[dict[str, Any]]:
        """What the watchdog told of a cruise's incidents."""
        return self._told("incident", cruise)

    def _told(self, event: str, cruise: str) -> list[dict[str, Any]]:
        found = []
        for envelope in self.listen():
            if envelope["Message"].startswith("{"):
                message = json.loads(envelope["Message"])
                if (message.get("event"), message.get("cruise")) == (event, cruise):
                    more = {"topic": envelope["TopicArn"], "at": envelope["Timestamp"]}
                    found.append(message | more)
        return found


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    options = SandboxOptions(
        delivery=Delivery(visibility_timeout=2),
        function_timeout=20,
        watched_speedup=30,
    )
    with Sandbox(tmp_path_factory.mktemp("watched"), options) as running:
        ssm, name = running.client("ssm"), running.names.rules_parameter
        rules = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        more = [(STORM, DEPLOYMENT, "batch = true"), (LOST, NO_DEPLOYMENT, "")]
        for prefix, deployment, rest in more:
            rules += f'\n[[prefix]]\nprefix = "{prefix}"\ndeployment = "{deployment}"\n{rest}\n'
        ssm.put_parameter(Name=name, Value=rules, Type="String", Overwrite=True)
        yield running


@pytest.fixture(scope="module")
def listener(sandbox: Sandbox) -> Listener:
    return Listener(sandbox)


@pytest.fixture
def cut(real_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "cut.raw"
    path.write_bytes((real_data / SMALL).read_bytes()[:20_000])
    return path


def replay(sandbox: Sandbox, *arguments: str) -> None:
    """What an operator types."""
    sqs, names = sandbox.client("sqs"), sandbox.names
    queues = {
        "ECHODROP_QUEUE_URL": names.notifications_queue,
        "ECHODROP_DEAD_LETTERS_URL": names.dead_letter_queue,
    }
    urls = {name: sqs.get_queue_url(QueueName=each)["QueueUrl"] for name, each in queues.items()}
    done = subprocess.run(
        [sys.executable, "-m", "echodrop", "replay", *arguments],
        env={
            **sandbox.environment(),
            **urls,
            "ECHODROP_RULES_PARAMETER": names.rules_parameter,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def look_in(sandbox: Sandbox, **passed: float) -> None:
    """Have the watchdog look at incidents as it will after some time."""
    variables = sandbox.stack.properties("Watchdog")["Environment"]["Variables"]
    services = WatchdogClients(
        *(sandbox.client(each) for each in ("s3", "sqs", "sns", "secretsmanager", "budgets"))
    )
    for learnt in look(read_settings(variables), services, datetime.now(UTC) + timedelta(**passed)):
        assert not learnt.faults


def test_a_failed_run_is_told_within_ten_seconds_and_wakes_nobody_for_its_file(
    sandbox: Sandbox, listener: Listener, cut: Path
) -> None:
    inbox = Inbox(sandbox)
    inbox.drop(cut, "HB0710/cut.raw")
    run = inbox.wait_for_ends(["HB0710/cut.raw"], 240)["HB0710/cut.raw"]
    assert run.state_name == "BadFile"
    (told,) = wait_until(lambda: listener.failures("HB0710"), 60, "the alert")
    ended = sandbox.api.request("GET", f"/flow_runs/{run.id}")["state"]["timestamp"]
    seconds = (datetime.fromisoformat(told["at"]) - datetime.fromisoformat(ended)).total_seconds()
    assert seconds < 10
    assert told["topic"] == listener.topics["notices"]
    assert all(told[name] for name in NAMED)
    assert told["file"] == inbox.uri("HB0710/cut.raw")
    assert told["replay"] == f"echodrop replay {told['file']}"
    woken = [it for it in listener.heard if it["TopicArn"] == listener.topics["alerts"]]
    assert not [it for it in woken if "BadFile" in it["Message"] or STOPPED in it["Message"]]
    assert not [it for it in woken if "RunsFailedAlarm" in it["Message"]]


def test_fifty_failures_of_one_cause_are_one_message_and_a_count(
    sandbox: Sandbox, listener: Listener, cut: Path
) -> None:
    """In tasks that they share, ten notifications at a time: fifty tasks would take minutes."""
    inbox = Inbox(sandbox)
    # Held up, so that they come ten at a time.
    sandbox.stop_part(f"{TRIGGER}-1")
    keys = [f"{STORM}cut-{number}.raw" for number in range(50)]
    for key in keys:
        inbox.drop(cut, key)
    sandbox.start_part(f"{TRIGGER}-1")

    def failed() -> bool:
        sandbox.check()
        ended = [run for run in sandbox.api.flow_runs() if run.is_final]
        # One may have come alone, and one delivered again in other company be asked for twice.
        files = [file for run in ended for file in run.parameters.get("files", [run.parameters])]
        names = {file["raw_file"] for file in files}
        return {inbox.uri(key) for key in keys} <= names

    wait_until(failed, 400, "all files to fail", every=0.5)
    cruise = STORM.strip("/")
    wait_until(lambda: listener.failures(cruise), 60, "the alert")
    # Each of the fifty is noted, one has been told of.
    noted = wait_until(
        lambda: found if len(set(found := cruise_notes(sandbox))) == 50 else None, 60, "fifty notes"
    )
    look_in(sandbox, minutes=61)
    assert len(listener.failures(cruise)) == 1
    *_, end = listener.incidents(cruise)
    assert (end["state"], end["count"], end["outcome"]) == ("closed", len(noted), "BadFile")
    assert end["topic"] == listener.topics["notices"]
    assert len(end["first_files"]) == 10
    assert not inbox.outputs(INCIDENTS)
    # Whole batches failed, and no file of theirs for the system's fault.
    assert not [it for it in listener.heard if "RunsFailedAlarm" in (it.get("Subject") or "")]


def cruise_notes(sandbox: Sandbox) -> list[str]:
    """The files of the cruise that tasks noted."""
    s3, bucket = sandbox.client("s3"), sandbox.names.output_bucket
    keys = [key for key in Inbox(sandbox).outputs(INCIDENTS) if not key.endswith("told.json")]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    notes = map(json.loads, bodies)
    return [note["file"] for note in notes if note["cruise"] == STORM.strip("/")]


def test_a_task_that_dies_is_told_by_two_layers_and_that_it_is_mended(
    sandbox: Sandbox, listener: Listener, tmp_path: Path
) -> None:
    inbox = Inbox(sandbox)
    inbox.drop(write_sample(tmp_path / "killed.raw").path, "killed.raw")
    run = wait_until(lambda: running(inbox, "killed.raw"), 120, "the run to start")
    listener.begin()
    # Not for its memory: that would have it started again by itself.
    sandbox.flow_process(run.id).send_signal(signal.SIGSEGV)
    wait_until(
        lambda: any(STOPPED in it["Message"] for it in listener.listen()), 120, "the rule's alert"
    )
    listener.alarm("RunsCrashedAlarm", "ALARM", 120)
    replay(sandbox, inbox.uri("killed.raw"))
    assert inbox.wait_for_ends(["killed.raw"], 120)["killed.raw"].state_name == "Completed"
    listener.alarm("RunsCrashedAlarm", "OK", 120)


def test_a_dead_worker_is_told_and_that_it_is_back(sandbox: Sandbox, listener: Listener) -> None:
    listener.begin()
    sandbox.stop_part(ecs_worker.NAME)
    listener.alarm("WorkerHeartbeatAlarm", "ALARM", 120)
    sandbox.start_part(ecs_worker.NAME)
    listener.alarm("WorkerHeartbeatAlarm", "OK", 120)


def test_a_dead_prefect_is_told_and_that_it_is_back(sandbox: Sandbox, listener: Listener) -> None:
    listener.begin()
    sandbox.stop_part(prefect_server.NAME)
    listener.alarm("PrefectAlarm", "ALARM", 120)
    sandbox.start_part(prefect_server.NAME)
    listener.alarm("PrefectAlarm", "OK", 120)


def test_a_trigger_that_breaks_off_is_told_and_that_it_is_mended(
    sandbox: Sandbox, listener: Listener, tmp_path: Path
) -> None:
    inbox, ssm, name = Inbox(sandbox), sandbox.client("ssm"), sandbox.names.rules_parameter
    rules = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    listener.begin()
    ssm.delete_parameter(Name=name)
    start_anew(sandbox)
    inbox.drop(write_sample(tmp_path / "early.raw", pings=20).path, "early.raw")
    listener.alarm("TriggerErrorsAlarm", "ALARM", 120)
    ssm.put_parameter(Name=name, Value=rules, Type="String")
    listener.alarm("TriggerErrorsAlarm", "OK", 120)
    assert inbox.wait_for_ends(["early.raw"], 180)["early.raw"].state_name == "Completed"


def test_what_a_trigger_hands_back_by_its_own_fault_is_told_and_its_dead_letters_and_their_mending(
    sandbox: Sandbox, listener: Listener, tmp_path: Path
) -> None:
    """Lambda counts no error of it: a prefix's deployment is not there."""
    inbox, ssm, name = Inbox(sandbox), sandbox.client("ssm"), sandbox.names.rules_parameter
    key = f"{LOST}lost.raw"
    deliver_at_most(sandbox, 2)
    listener.begin()
    inbox.drop(write_sample(tmp_path / "lost.raw", pings=20).path, key)
    told = [f'ALARM: "{each}"' for each in ("TriggerFaultsAlarm", "UploadDeadLettersAlarm")]
    listener.all_of(told, 120)
    rules = ssm.get_parameter(Name=name)["Parameter"]["Value"].replace(NO_DEPLOYMENT, DEPLOYMENT)
    ssm.put_parameter(Name=name, Value=rules, Type="String", Overwrite=True)
    start_anew(sandbox)
    deliver_at_most(sandbox, 100)
    replay(sandbox, "--dlq")
    assert inbox.wait_for_ends([key], 180)[key].state_name == "Completed"
    listener.all_of([each.replace("ALARM", "OK") for each in told], 120)


def deliver_at_most(sandbox: Sandbox, times: int) -> None:
    """Have a notification become a dead letter soon: the template's count takes minutes."""
    sqs = sandbox.client("sqs")
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
    policy = json.loads(found["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": times}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})


def start_anew(sandbox: Sandbox) -> None:
    """Have the trigger forget the rules that it has read; it would in a minute."""
    trigger = f"{TRIGGER}-1"
    sandbox.stop_part(trigger)
    sandbox.start_part(trigger)


def test_what_one_layer_cannot_tell_another_does(
    sandbox: Sandbox, listener: Listener, cut: Path
) -> None:
    """First the watchdog is dead and the run tells; then the run's topic is gone and the watchdog tells."""
    inbox = Inbox(sandbox)
    listener.begin()
    sandbox.stop_part(SCHEDULER)
    inbox.drop(cut, "HB0711/cut.raw")
    inbox.wait_for_ends(["HB0711/cut.raw"], 120)
    wait_until(lambda: listener.failures("HB0711"), 60, "the run's own alert")

    sns, topic = sandbox.client("sns"), listener.topics["notices"]
    sns.delete_topic(TopicArn=topic)
    inbox.drop(cut, "HB0712/cut.raw")
    run = inbox.wait_for_ends(["HB0712/cut.raw"], 120)["HB0712/cut.raw"]
    wait_until(lambda: not sandbox.task_processes(run.id), 60, "its task to have tried to tell")
    listener.alarm("WatchdogSilentAlarm", "ALARM", 120)
    assert sns.create_topic(Name=topic.rpartition(":")[2])["TopicArn"] == topic
    listener.subscribe(topic)
    sandbox.start_part(SCHEDULER)
    (told,) = wait_until(lambda: listener.incidents("HB0712"), 90, "the watchdog's word of it")
    assert (told["state"], told["count"]) == ("open", 1)
    assert told["first_files"] == [inbox.uri("HB0712/cut.raw")]
    assert told["replay"] == f"echodrop replay {inbox.uri('HB0712/cut.raw')}"
    assert not listener.failures("HB0712")
    listener.alarm("WatchdogSilentAlarm", "OK", 120)


def running(inbox: Inbox, key: str) -> FlowRun | None:
    found = next((run for run in inbox.runs([key])[key] if run.state_type == "RUNNING"), None)
    time.sleep(0.2)
    return found

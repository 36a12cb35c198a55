"""Failures and recoveries send alerts. The system's time runs thirty times faster here."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.parts.waiting import wait_until
from sandbox.prefect import prefect_server
from sandbox.prefect.prefect_api import FlowRunInfo
from sandbox.sea.sample_file import write_sample
from sandbox.start import ECS_WORKER
from sandbox.system import TRIGGER, Sandbox, SandboxOptions
from tests.monitoring.monitored import SCHEDULER, monitored
from tests.sandbox_inbox import SandboxInbox, run_command
from tests.task_processes import flow_process, task_processes
from watchdog.handler import WatchdogClients, look
from watchdog.settings import read_settings

pytestmark = [pytest.mark.trial, pytest.mark.xdist_group("alerts")]

SMALL = "ek80/-1519668699940320059.raw"
# A cruise whose files share tasks.
STORM = "HB1999/"
# A prefix whose deployment does not exist.
LOST, DEPLOYMENT, NO_DEPLOYMENT = "lost/", "convert-raw-sonar/ecs", "convert-raw-sonar/no-such"
INCIDENTS = ".echodrop/incidents/"

NAMED = ("file", "outcome", "why", "run_url", "replay", "cruise", "sonar_model", "remedy")

# In the message of the rule on stopped tasks.
STOPPED = "stopped with an error"


class Listener:
    """A queue that is subscribed to both topics."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sqs, self._sns = sandbox.client("sqs"), sandbox.client("sns")
        self._url = self._sqs.create_queue(QueueName="received")["QueueUrl"]
        outputs = sandbox.stack.outputs()
        self.topics = {"alerts": outputs["Alerts"], "notices": outputs["Notices"]}
        for topic in self.topics.values():
            self.subscribe(topic)
        self.received: list[dict[str, Any]] = []
        self._from = 0

    def subscribe(self, topic: str) -> None:
        """Subscribe the queue to a topic."""
        found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        arn = found["Attributes"]["QueueArn"]
        self._sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def listen(self) -> list[dict[str, Any]]:
        """Return all envelopes so far, the newest last."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                self.received.append(json.loads(message["Body"]))
        return self.received

    def alarm(self, name: str, state: str, within: float) -> dict[str, Any]:
        """Wait for an alarm's notification of a state."""
        subject = f'{state}: "{name}"'
        return wait_until(
            lambda: self._next(subject),
            within,
            subject,
            describe=self._subjects,
        )

    def all_of(self, subjects: Collection[str], within: float) -> None:
        """Wait until all these subjects have arrived since `begin`, in any order."""

        def arrived() -> bool:
            return set(subjects) <= {it.get("Subject") for it in self.listen()[self._from :]}

        wait_until(arrived, within, str(subjects), describe=self._subjects)

    def _subjects(self) -> str:
        return str([it.get("Subject") or it["Message"] for it in self.received])

    def begin(self) -> None:
        """Ignore all envelopes so far."""
        self._from = len(self.listen())

    def _next(self, subject: str) -> dict[str, Any] | None:
        for place, envelope in enumerate(self.listen()):
            if place >= self._from and envelope.get("Subject") == subject:
                self._from = place + 1
                return envelope
        return None

    def failures(self, cruise: str) -> list[dict[str, Any]]:
        """Return the failure messages of a cruise's runs, with their topic and time."""
        return self._messages("failure", cruise)

    def incidents(self, cruise: str) -> list[dict[str, Any]]:
        """Return the watchdog's incident messages of a cruise."""
        return self._messages("incident", cruise)

    def _messages(self, event: str, cruise: str) -> list[dict[str, Any]]:
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
        visibility_timeout=2,
        function_timeout=20,
        products=False,
    )
    with (
        Sandbox(tmp_path_factory.mktemp("watched"), options) as running,
        monitored(running, speedup=30),
    ):
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
    """Run `echodrop replay` as an operator does."""
    done = run_command(sandbox, "-m", "echodrop", "replay", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def look_in(sandbox: Sandbox, **passed: float) -> None:
    """Run the watchdog's check of incidents at a later time."""
    variables = sandbox.stack.properties("Watchdog")["Environment"]["Variables"]
    services = WatchdogClients(
        *(sandbox.client(each) for each in ("s3", "sqs", "sns", "secretsmanager", "budgets"))
    )
    for learnt in look(read_settings(variables), services, datetime.now(UTC) + timedelta(**passed)):
        assert not learnt.faults


def test_a_failed_run_sends_a_notice_within_ten_seconds_and_no_alert(
    sandbox: Sandbox, listener: Listener, cut: Path
) -> None:
    inbox = SandboxInbox(sandbox)
    inbox.drop(cut, "HB0710/cut.raw")
    run = inbox.wait_for_ends(["HB0710/cut.raw"], 240)["HB0710/cut.raw"]
    assert run.state_name == "BadFile"
    (message,) = wait_until(lambda: listener.failures("HB0710"), 60, "the alert")
    ended = sandbox.api.request("GET", f"/flow_runs/{run.id}")["state"]["timestamp"]
    seconds = (
        datetime.fromisoformat(message["at"]) - datetime.fromisoformat(ended)
    ).total_seconds()
    assert seconds < 10
    assert message["topic"] == listener.topics["notices"]
    assert all(message[name] for name in NAMED)
    assert message["file"] == inbox.uri("HB0710/cut.raw")
    assert message["replay"] == f"echodrop replay {message['file']}"
    alerts = [it for it in listener.received if it["TopicArn"] == listener.topics["alerts"]]
    assert not [it for it in alerts if "BadFile" in it["Message"] or STOPPED in it["Message"]]
    assert not [it for it in alerts if "RunsFailedAlarm" in it["Message"]]


def test_twenty_failures_of_one_cause_are_one_message_and_a_count(
    sandbox: Sandbox, listener: Listener, cut: Path
) -> None:
    """Ten files share a task, because twenty tasks would take minutes."""
    inbox = SandboxInbox(sandbox)
    # Stopped, so that notifications arrive ten at a time.
    sandbox.parts.stop(f"{TRIGGER}-1")
    keys = [f"{STORM}cut-{number}.raw" for number in range(20)]
    for key in keys:
        inbox.drop(cut, key)
    sandbox.start_part(f"{TRIGGER}-1")

    def failed() -> bool:
        sandbox.check()
        ended = [run for run in sandbox.api.flow_runs() if run.is_final]
        # A file may be in a task of its own, or in two tasks if its notification was delivered twice.
        files = [file for run in ended for file in run.parameters.get("files", [run.parameters])]
        names = {file["raw_file"] for file in files}
        return {inbox.uri(key) for key in keys} <= names

    wait_until(failed, 400, "all files to fail", every=0.5)
    cruise = STORM.strip("/")
    wait_until(lambda: listener.failures(cruise), 60, "the alert")
    # All twenty are recorded, and one message was sent.
    noted = wait_until(
        lambda: found if len(set(found := cruise_notes(sandbox))) == 20 else None,
        60,
        "twenty notes",
    )
    look_in(sandbox, minutes=61)
    assert len(listener.failures(cruise)) == 1
    *_, end = listener.incidents(cruise)
    assert (end["state"], end["count"], end["outcome"]) == ("closed", len(noted), "BadFile")
    assert end["topic"] == listener.topics["notices"]
    assert len(end["first_files"]) == 10
    assert not inbox.outputs(INCIDENTS)
    # Whole batches failed, but because of their files, not the system.
    assert not [it for it in listener.received if "RunsFailedAlarm" in (it.get("Subject") or "")]


def cruise_notes(sandbox: Sandbox) -> list[str]:
    """Return the cruise's files that tasks recorded."""
    s3, bucket = sandbox.client("s3"), sandbox.names.output_bucket
    keys = [
        key for key in SandboxInbox(sandbox).outputs(INCIDENTS) if not key.endswith("reported.json")
    ]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    notes = map(json.loads, bodies)
    return [note["file"] for note in notes if note["cruise"] == STORM.strip("/")]


def test_a_crashed_task_raises_two_alerts_and_its_recovery_is_reported(
    sandbox: Sandbox, listener: Listener, tmp_path: Path
) -> None:
    inbox = SandboxInbox(sandbox)
    inbox.drop(write_sample(tmp_path / "killed.raw").path, "killed.raw")
    run = wait_until(lambda: running(inbox, "killed.raw"), 120, "the run to start")
    listener.begin()
    # Not SIGKILL: a run that is killed for its memory is retried automatically.
    flow_process(sandbox, run.id).send_signal(signal.SIGSEGV)
    wait_until(
        lambda: any(STOPPED in it["Message"] for it in listener.listen()), 120, "the rule's alert"
    )
    listener.alarm("RunsCrashedAlarm", "ALARM", 120)
    replay(sandbox, inbox.uri("killed.raw"))
    assert inbox.wait_for_ends(["killed.raw"], 120)["killed.raw"].state_name == "Completed"
    listener.alarm("RunsCrashedAlarm", "OK", 120)


def test_a_stopped_worker_and_its_recovery_are_reported(
    sandbox: Sandbox, listener: Listener
) -> None:
    listener.begin()
    sandbox.parts.stop(ECS_WORKER)
    listener.alarm("WorkerHeartbeatAlarm", "ALARM", 120)
    sandbox.start_part(ECS_WORKER)
    listener.alarm("WorkerHeartbeatAlarm", "OK", 120)


def test_a_stopped_prefect_and_its_recovery_are_reported(
    sandbox: Sandbox, listener: Listener
) -> None:
    listener.begin()
    sandbox.parts.stop(prefect_server.NAME)
    listener.alarm("PrefectAlarm", "ALARM", 120)
    sandbox.start_part(prefect_server.NAME)
    listener.alarm("PrefectAlarm", "OK", 120)


def test_trigger_errors_and_their_end_are_reported(
    sandbox: Sandbox, listener: Listener, tmp_path: Path
) -> None:
    inbox, ssm, name = SandboxInbox(sandbox), sandbox.client("ssm"), sandbox.names.rules_parameter
    rules = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    listener.begin()
    ssm.delete_parameter(Name=name)
    restart_trigger(sandbox)
    inbox.drop(write_sample(tmp_path / "early.raw", pings=20).path, "early.raw")
    listener.alarm("TriggerErrorsAlarm", "ALARM", 120)
    ssm.put_parameter(Name=name, Value=rules, Type="String")
    listener.alarm("TriggerErrorsAlarm", "OK", 120)
    assert inbox.wait_for_ends(["early.raw"], 180)["early.raw"].state_name == "Completed"


def test_trigger_faults_and_dead_letters_and_their_end_are_reported(
    sandbox: Sandbox, listener: Listener, tmp_path: Path
) -> None:
    """A prefix's deployment is missing, which Lambda does not count as an error."""
    inbox, ssm, name = SandboxInbox(sandbox), sandbox.client("ssm"), sandbox.names.rules_parameter
    key = f"{LOST}lost.raw"
    deliver_at_most(sandbox, 2)
    listener.begin()
    inbox.drop(write_sample(tmp_path / "lost.raw", pings=20).path, key)
    alarms = [f'ALARM: "{each}"' for each in ("TriggerFaultsAlarm", "UploadDeadLettersAlarm")]
    listener.all_of(alarms, 120)
    rules = ssm.get_parameter(Name=name)["Parameter"]["Value"].replace(NO_DEPLOYMENT, DEPLOYMENT)
    ssm.put_parameter(Name=name, Value=rules, Type="String", Overwrite=True)
    restart_trigger(sandbox)
    deliver_at_most(sandbox, 100)
    replay(sandbox, "--dlq")
    assert inbox.wait_for_ends([key], 180)[key].state_name == "Completed"
    listener.all_of([each.replace("ALARM", "OK") for each in alarms], 120)


def deliver_at_most(sandbox: Sandbox, times: int) -> None:
    """Set the receive count of dead letters; the template's count would take minutes."""
    sqs = sandbox.client("sqs")
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
    policy = json.loads(found["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": times}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})


def restart_trigger(sandbox: Sandbox) -> None:
    """Restart the trigger, so that it reads the rules again without its cache time of a minute."""
    trigger = f"{TRIGGER}-1"
    sandbox.parts.stop(trigger)
    sandbox.start_part(trigger)


def test_a_failure_is_reported_although_one_alert_path_is_down(
    sandbox: Sandbox, listener: Listener, cut: Path
) -> None:
    """The run sends a notice while the watchdog is down; the watchdog sends one after the topic was missing."""
    inbox = SandboxInbox(sandbox)
    listener.begin()
    sandbox.parts.stop(SCHEDULER)
    inbox.drop(cut, "HB0711/cut.raw")
    inbox.wait_for_ends(["HB0711/cut.raw"], 120)
    wait_until(lambda: listener.failures("HB0711"), 60, "the run's own alert")

    sns, topic = sandbox.client("sns"), listener.topics["notices"]
    sns.delete_topic(TopicArn=topic)
    inbox.drop(cut, "HB0712/cut.raw")
    run = inbox.wait_for_ends(["HB0712/cut.raw"], 120)["HB0712/cut.raw"]
    wait_until(lambda: not task_processes(sandbox, run.id), 60, "its task to end")
    listener.alarm("WatchdogSilentAlarm", "ALARM", 120)
    assert sns.create_topic(Name=topic.rpartition(":")[2])["TopicArn"] == topic
    listener.subscribe(topic)
    sandbox.start_part(SCHEDULER)
    (message,) = wait_until(lambda: listener.incidents("HB0712"), 90, "the watchdog's message")
    assert (message["state"], message["count"]) == ("open", 1)
    assert message["first_files"] == [inbox.uri("HB0712/cut.raw")]
    assert message["replay"] == f"echodrop replay {inbox.uri('HB0712/cut.raw')}"
    assert not listener.failures("HB0712")
    listener.alarm("WatchdogSilentAlarm", "OK", 120)


def running(inbox: SandboxInbox, key: str) -> FlowRunInfo | None:
    found = next((run for run in inbox.runs([key])[key] if run.state_type == "RUNNING"), None)
    time.sleep(0.2)
    return found

"""Dead letters and an archive are sent through the trigger to Prefect, by commands that are killed.

The flow runs are not executed.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from events.notifications import NotifiedObject
from lambda_trigger.decisions.outcomes import BACKFILL
from sandbox.parts.waiting import wait_until
from sandbox.system import Sandbox, SandboxOptions
from tests.envelopes import ENVELOPES
from tests.file_heads import file_head
from tests.sandbox_inbox import operator_environment

pytestmark = [pytest.mark.trial, pytest.mark.xdist_group("sending")]

# Messages of a killed command reappear after two minutes, which is too long for a test.
# A process started in the background ignores SIGINT, unlike one at an operator's terminal.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from operations.replay import dead_letters
dead_letters._HIDDEN_SECONDS = 4
from echodrop.command_line import app
app()
"""
QUEUE_COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox whose rules name a missing deployment."""
    options = SandboxOptions(runs_tasks=False, function_timeout=8, visibility_timeout=8)
    with Sandbox(tmp_path_factory.mktemp("sending"), options) as running:
        running.client("s3").put_bucket_notification_configuration(
            Bucket=running.names.inbox_bucket, NotificationConfiguration={}
        )
        ssm, name = running.client("ssm"), running.names.rules_parameter
        rules = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        # Here each upload has its own run; test_batch_lane.py tests batches.
        rules = rules.partition("[batch]")[0]
        poisoned = '[[prefix]]\nprefix = "poison/"\ndeployment = "convert-raw-sonar/no-such"\n'
        ssm.put_parameter(Name=name, Value=f"{rules}\n{poisoned}", Type="String", Overwrite=True)
        yield running


@pytest.fixture
def dead_at_once(system: Sandbox) -> Iterator[None]:
    """A queue that moves a notification to the dead letters after one failure."""
    sqs, queue = system.client("sqs"), url_of(system, system.names.notifications_queue)
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
    before = found["Attributes"]["RedrivePolicy"]
    soon = json.dumps(json.loads(before) | {"maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": soon})
    yield
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": before})


def url_of(system: Sandbox, queue: str) -> str:
    url: str = system.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    return url


def messages(system: Sandbox, queue: str) -> int:
    found = system.client("sqs").get_queue_attributes(
        QueueUrl=url_of(system, queue), AttributeNames=QUEUE_COUNTS
    )
    return sum(map(int, found["Attributes"].values()))


def upload(system: Sandbox, key: str) -> NotifiedObject:
    bucket, body = system.names.inbox_bucket, file_head("EK60")
    stored = system.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return NotifiedObject(bucket, key, len(body), stored["ETag"].strip('"'))


def start(system: Sandbox, *arguments: str) -> subprocess.Popen[str]:
    """Start the command as an operator would, without a stack."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env=operator_environment(system),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(system: Sandbox, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    process = start(system, *arguments, "--json")
    out, error = process.communicate(timeout=240)
    assert process.returncode in {0, 1}, error
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def runs_by_key(system: Sandbox, prefix: str) -> Counter[str]:
    start_of = f"s3://{system.names.inbox_bucket}/"
    files = (str(run.parameters.get("raw_file")) for run in system.api.flow_runs())
    keys = (file.removeprefix(start_of) for file in files)
    return Counter(key for key in keys if key.startswith(prefix))


def wait_until_settled(system: Sandbox) -> None:
    wait_until(
        lambda: not messages(system, system.names.notifications_queue),
        180,
        "the trigger's queue to be empty",
    )


def replay_until_no_letter_is_left(system: Sandbox) -> Counter[str]:
    """Replay dead letters as an operator does; return the results."""
    what: Counter[str] = Counter()

    def emptied() -> bool:
        _, lines = output_of(system, "replay", "--dlq")
        what.update(lines[-1]["counts"])
        wait_until_settled(system)
        return not messages(system, system.names.dead_letter_queue)

    wait_until(emptied, 300, "no dead letter to be left", every=1)
    return what


def test_of_100_dead_letters_95_are_done_and_5_set_aside_despite_interruptions(
    system: Sandbox, dead_at_once: None
) -> None:
    del dead_at_once
    names = [f"dead/{number:03}.raw" for number in range(95)]
    poison = [f"poison/{number}.raw" for number in range(5)]
    keys = [*names, *poison]
    random.Random(6).shuffle(keys)
    sqs, dlq = system.client("sqs"), url_of(system, system.names.dead_letter_queue)
    bodies = [ENVELOPES["eventbridge"](upload(system, key)) for key in keys]
    for first in range(0, 100, 10):
        entries = [
            {"Id": str(index), "MessageBody": body}
            for index, body in enumerate(bodies[first : first + 10])
        ]
        assert not sqs.send_message_batch(QueueUrl=dlq, Entries=entries).get("Failed")

    for left, ending, code in ((80, signal.SIGKILL, -9), (45, signal.SIGINT, 130)):
        process = start(system, "replay", "--dlq", "--rate", "5")
        wait_until(
            lambda left=left: messages(system, system.names.dead_letter_queue) <= left,  # type: ignore[misc]  # mypy can't infer a default's type
            120,
            f"{left} dead letters to be left",
            every=0.1,
        )
        process.send_signal(ending)
        process.communicate(timeout=60)
        assert process.returncode == code, "it came too late"
        assert messages(system, system.names.dead_letter_queue) > 15

    what = replay_until_no_letter_is_left(system)
    assert runs_by_key(system, "dead/") == dict.fromkeys(names, 1)
    assert runs_by_key(system, "poison/") == {}
    s3, output = system.client("s3"), system.names.output_bucket
    kept = s3.list_objects_v2(Bucket=output, Prefix="quarantine/dead-letters/")["Contents"]
    set_aside = [
        json.loads(s3.get_object(Bucket=output, Key=item["Key"])["Body"].read()) for item in kept
    ]
    bucket = system.names.inbox_bucket
    assert sorted(item["uploads"][0] for item in set_aside) == sorted(
        f"s3://{bucket}/{key}" for key in poison
    )
    assert all("missing" in item["reason"] for item in set_aside), set_aside[0]["reason"]
    # A message that a killed command sent and did not delete is set aside twice.
    assert what["set aside"] >= 5


def test_a_killed_backfill_resumes_and_waits_for_its_lane_while_a_live_upload_does_not(
    system: Sandbox, tmp_path: Path
) -> None:
    keys = [f"archive/{number:03}.raw" for number in range(60)]
    for key in keys:
        upload(system, key)
    asked = ["backfill", f"s3://{system.names.inbox_bucket}/archive/", "--together", "4"]
    asked += ["--checkpoint", str(tmp_path / "checkpoint"), "--rate", "10"]
    _, (estimate,) = output_of(system, *asked, "--dry-run")
    assert estimate["estimate"]["uploads"] == 60

    process = start(system, *asked, "--outstanding", "30")
    chance = random.Random(8)
    wait_until(
        lambda: sum(runs_by_key(system, "archive/").values()) >= 8, 120, "its first runs", every=0.1
    )
    time.sleep(chance.uniform(0, 0.5))
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / "checkpoint").read_text())["sent"] < 60

    # Nothing executes runs here, so a full lane stays full.
    process = start(system, *asked, "--outstanding", "30")
    wait_until(
        lambda: sum(runs_by_key(system, "archive/").values()) >= 30, 120, "a full lane", every=0.2
    )
    wait_until_settled(system)
    held = runs_by_key(system, "archive/")
    live = upload(system, "live/now.raw")
    queue = url_of(system, system.names.notifications_queue)
    system.client("sqs").send_message(QueueUrl=queue, MessageBody=ENVELOPES["eventbridge"](live))
    wait_until(lambda: runs_by_key(system, "live/"), 60, "the live upload's run", every=0.1)
    assert process.poll() is None, process.communicate()
    # Messages in the queue count, except one that the trigger is processing.
    assert held == runs_by_key(system, "archive/")
    assert 30 <= len(held) <= 30 + 2 * 4
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130

    code, (end,) = output_of(system, *asked)
    assert (code, end["ended"]) == (0, True)
    # The message that was in progress at the kill may be sent twice and counted once.
    assert 60 <= end["sent"] <= 64
    wait_until_settled(system)
    # A message has only one delivery here: a 503 of Prefect makes it a dead letter.
    assert not replay_until_no_letter_is_left(system)["set aside"]
    assert runs_by_key(system, "archive/") == dict.fromkeys(keys, 1)
    lanes = Counter(
        run["work_queue_name"]
        for run in system.api.request(
            "POST", "/flow_runs/filter", {"limit": 200, "sort": "START_TIME_DESC"}
        )
        if "archive/" in run["parameters"]["raw_file"]
    )
    assert lanes == {BACKFILL: 60}


def test_a_killed_replay_resumes_with_the_uploads_that_are_left(system: Sandbox) -> None:
    keys = [f"again/{number:02}.raw" for number in range(25)]
    queue = url_of(system, system.names.notifications_queue)
    for key in keys:
        body = ENVELOPES["eventbridge"](upload(system, key))
        system.client("sqs").send_message(QueueUrl=queue, MessageBody=body)

    def settle() -> None:
        """Wait until all messages are processed; a message has only one delivery here."""
        wait_until_settled(system)
        assert not replay_until_no_letter_is_left(system)["set aside"]

    settle()
    assert runs_by_key(system, "again/") == dict.fromkeys(keys, 1)

    def end_all_runs() -> None:
        """End each run as its task would, because nothing executes runs here."""
        for run in system.api.flow_runs():
            if "again/" in str(run.parameters.get("raw_file")) and run.state_type != "COMPLETED":
                state = {"type": "COMPLETED", "name": "Completed"}
                path = f"/flow_runs/{run.id}/set_state"
                system.api.request("POST", path, {"state": state, "force": True})

    end_all_runs()
    asked = ["replay", "--prefix", "again/", "--outcome", "Completed", "--force"]
    # Ten messages are sent at a time: the first after ten seconds, the last after 25.
    process = start(system, *asked, "--rate", "1")
    wait_until(
        lambda: (
            messages(system, system.names.notifications_queue)
            or sum(runs_by_key(system, "again/").values()) > 25
        ),
        120,
        "its first messages",
        every=0.1,
    )
    process.kill()
    _, said = process.communicate()
    settle()
    done = sum(runs_by_key(system, "again/").values()) - 25
    assert 0 < done < 25, "it came too late"
    # The next call would choose these runs like those that are still to come.
    end_all_runs()

    until = said.partition("--until ")[2].split()[0]
    code, lines = output_of(system, *asked, "--until", until)
    assert code == 0
    assert lines[-1]["counts"] == {"run again since": done, "notified": 25 - done}
    settle()
    assert runs_by_key(system, "again/") == dict.fromkeys(keys, 2)

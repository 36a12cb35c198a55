"""However often and in whatever form an upload is notified, it becomes one run and one output."""

from collections import Counter
from pathlib import Path

import pytest

from events.notifications import ENVELOPES, NotifiedObject
from sandbox.inbox import Inbox
from sandbox.sample_file import write_sample
from sandbox.system import TRIGGER, Sandbox
from sandbox.trigger_log import TriggerLog
from sandbox.waiting import wait_until

pytestmark = pytest.mark.xdist_group("sandbox")


def notify_nine_times_more(sandbox: Sandbox, key: str) -> None:
    """Send the upload's notification five times the same, and once in each envelope."""
    s3, sqs = sandbox.client("s3"), sandbox.client("sqs")
    head = s3.head_object(Bucket=sandbox.names.inbox_bucket, Key=key)
    stored = NotifiedObject(
        sandbox.names.inbox_bucket, key, head["ContentLength"], head["ETag"].strip('"')
    )
    bodies = [ENVELOPES["eventbridge"](stored)] * 5 + [make(stored) for make in ENVELOPES.values()]
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body)


def wait_until_all_are_handled(sandbox: Sandbox) -> None:
    sqs = sandbox.client("sqs")
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def left() -> dict[str, str]:
        answer = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=counts)
        attributes: dict[str, str] = answer["Attributes"]
        return attributes

    wait_until(
        lambda: all(count == "0" for count in left().values()),
        120,
        "the queue to run empty",
        told=lambda: str(left()),
    )


def outcomes(sandbox: Sandbox, key: str) -> Counter[str]:
    """Count what the triggers said became of this key's notifications.

    A queue delivers at least once: a message that made the run in one of its
    deliveries, and found it in another, made it.
    """
    became: dict[str, str] = {}
    for told in TriggerLog(sandbox.state.logs).new_outcomes():
        if told.key != key or told.outcome == "Retried":
            continue
        if told.message not in became or told.reason == "new":
            became[told.message] = f"{told.outcome} {told.reason}"
    return Counter(became.values())


def check_one_run_of_ten_notifications(sandbox: Sandbox, key: str) -> None:
    inbox = Inbox(sandbox)
    end = inbox.wait_for_ends([key], within=180)[key]
    wait_until_all_are_handled(sandbox)
    told = outcomes(sandbox, key)
    # A create whose answer was lost is told of as existing.
    assert told["Submitted new"] <= 1
    assert told["Submitted new"] + told["Submitted existing"] == told.total() == 10
    (only,) = inbox.runs([key])[key]
    assert (only.id, only.state_name, only.run_count) == (end.id, "Completed", 1)
    stem = key.removesuffix(".raw")
    manifests = [name for name in inbox.outputs(stem) if name.endswith(".manifest.json")]
    assert manifests == [f"{stem}.zarr.manifest.json"]


def test_ten_notifications_at_once_in_four_envelopes_are_one_run_and_one_output(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    key = "duplicates/once.raw"
    # Held up, so that they all come in the same batch or two.
    sandbox.stop_part(f"{TRIGGER}-1")
    try:
        Inbox(sandbox).drop(write_sample(tmp_path / "once.raw", pings=20, seed=7).path, key)
        notify_nine_times_more(sandbox, key)
    finally:
        sandbox.start_part(f"{TRIGGER}-1")
    check_one_run_of_ten_notifications(sandbox, key)


def test_on_postgresql_four_triggers_at_once_make_one_run_of_ten_notifications(
    postgresql_sandbox: Sandbox, tmp_path: Path
) -> None:
    key = "duplicates/at-once.raw"
    inbox = Inbox(postgresql_sandbox)
    inbox.drop(write_sample(tmp_path / "once.raw", pings=20, seed=8).path, key)
    notify_nine_times_more(postgresql_sandbox, key)
    check_one_run_of_ten_notifications(postgresql_sandbox, key)

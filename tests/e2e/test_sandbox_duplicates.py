"""Duplicate notifications of an upload, in any format, give one flow run and one output."""

from collections import Counter
from pathlib import Path

import pytest

from events.notifications import NotifiedObject
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from sandbox.system import TRIGGER, Sandbox
from sandbox.trigger_log import TriggerLog
from tests.envelopes import ENVELOPES
from tests.sandbox_inbox import SandboxInbox


def notify_nine_times_more(sandbox: Sandbox, key: str) -> None:
    """Send the same notification five times, and one in each envelope."""
    s3, sqs = sandbox.client("s3"), sandbox.client("sqs")
    head = s3.head_object(Bucket=sandbox.names.inbox_bucket, Key=key)
    stored = NotifiedObject(
        sandbox.names.inbox_bucket, key, head["ContentLength"], head["ETag"].strip('"')
    )
    bodies = [ENVELOPES["eventbridge"](stored)] * 5 + [make(stored) for make in ENVELOPES.values()]
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body)


def wait_until_queue_is_empty(sandbox: Sandbox) -> None:
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
        "the queue to be empty",
        describe=lambda: str(left()),
    )


def outcomes(sandbox: Sandbox, key: str) -> Counter[str]:
    """Count the outcomes of this key's notifications in the triggers' logs.

    SQS delivers at least once. A message counts as `new` if any of its deliveries
    created the run.
    """
    outcome_of: dict[str, str] = {}
    for found in TriggerLog(sandbox.state.logs).new_outcomes():
        if found.key != key or found.outcome == "Retried":
            continue
        if found.message not in outcome_of or found.reason == "new":
            outcome_of[found.message] = f"{found.outcome} {found.reason}"
    return Counter(outcome_of.values())


def check_one_run_of_ten_notifications(sandbox: Sandbox, key: str) -> None:
    inbox = SandboxInbox(sandbox)
    end = inbox.wait_for_ends([key], within=180)[key]
    wait_until_queue_is_empty(sandbox)
    counts = outcomes(sandbox, key)
    # If the response to a create was lost, its retry finds the run and counts as existing.
    assert counts["Submitted new"] <= 1
    assert counts["Submitted new"] + counts["Submitted existing"] == counts.total() == 10
    (only,) = inbox.runs([key])[key]
    assert (only.id, only.state_name, only.run_count) == (end.id, "Completed", 1)
    stem = key.removesuffix(".raw")
    manifests = [name for name in inbox.outputs(stem) if name.endswith(".manifest.json")]
    assert manifests == [f"{stem}.zarr.manifest.json"]


@pytest.mark.xdist_group("sandbox")
def test_ten_notifications_at_once_in_four_envelopes_are_one_run_and_one_output(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    key = "duplicates/once.raw"
    # Stopped, so that all notifications arrive in one or two batches.
    sandbox.parts.stop(f"{TRIGGER}-1")
    try:
        SandboxInbox(sandbox).drop(write_sample(tmp_path / "once.raw", pings=20, seed=7).path, key)
        notify_nine_times_more(sandbox, key)
    finally:
        sandbox.start_part(f"{TRIGGER}-1")
    check_one_run_of_ten_notifications(sandbox, key)


# On the PostgreSQL system of the faults.
@pytest.mark.trial
@pytest.mark.xdist_group("chaos")
def test_on_postgresql_four_triggers_at_once_make_one_run_of_ten_notifications(
    postgresql_sandbox: Sandbox, tmp_path: Path
) -> None:
    key = "duplicates/at-once.raw"
    inbox = SandboxInbox(postgresql_sandbox)
    inbox.drop(write_sample(tmp_path / "once.raw", pings=20, seed=8).path, key)
    notify_nine_times_more(postgresql_sandbox, key)
    check_one_run_of_ten_notifications(postgresql_sandbox, key)

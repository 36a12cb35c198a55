"""Three hundred notifications, from eight Lambda environments to a real Prefect on PostgreSQL.

Of each storm 30 % notify of an upload again, 5 % are not notifications. All are
shuffled and use every envelope. The flow runs are not executed.

Eight environments with ten messages each hold 80 messages at a time, so that a storm
fills them almost four times. More messages would repeat the same races:
tests/unit/trigger/test_storm.py handles a thousand, without a server.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from events.notifications import NotifiedObject
from sandbox.parts.postgresql import PostgresqlMissing, find_binaries
from sandbox.parts.waiting import wait_until
from sandbox.prefect import prefect_server
from sandbox.system import Sandbox, SandboxOptions
from sandbox.trigger_log import TriggerLog, TriggerOutcome
from tests.file_heads import file_head
from tests.storm import Storm, make_storm

pytestmark = [pytest.mark.trial, pytest.mark.xdist_group("storm")]

UPLOADS, REPORTED_AGAIN, MALFORMED = 195, 90, 15
# Most runs that two environments may create at the same moment. It depends on the number of
# environments, not on that of the messages.
CREATED_TWICE = 13


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    try:
        find_binaries()
    except PostgresqlMissing as missing:
        pytest.skip(str(missing))
    options = SandboxOptions(
        database="postgresql",
        triggers=8,
        runs_tasks=False,
        # As deployed. A busy machine answers late, and an invocation that ends
        # before its answers arrive would request the same run again.
        function_timeout=60,
        visibility_timeout=70,
    )
    with Sandbox(tmp_path_factory.mktemp("storm"), options) as running:
        # Only the storms notify of the uploads.
        running.client("s3").put_bucket_notification_configuration(
            Bucket=running.names.inbox_bucket, NotificationConfiguration={}
        )
        yield running


class Watch:
    """Counts the outcomes of the messages from now on, as 'Outcome: reason'.

    A queue delivers at least once. A message that created the run in one of its
    deliveries and found it in another counts as 'new'.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._log = TriggerLog(sandbox.state.logs)
        self._settled: dict[tuple[str, str], TriggerOutcome] = {}
        list(self._log.new_outcomes())

    def outcomes(self) -> Counter[str]:
        for line in self._log.new_outcomes():
            if line.outcome == "Retried":
                continue
            if (line.message, line.key) not in self._settled or line.reason == "new":
                self._settled[line.message, line.key] = line
        return Counter(f"{line.outcome}: {line.reason}" for line in self._settled.values())

    def runs(self) -> set[tuple[str, str]]:
        """Key and run of each message that was submitted, as `outcomes` last read them."""
        return {(line.key, line.run) for line in self._settled.values() if line.run}


def upload(sandbox: Sandbox, cruise: str) -> list[NotifiedObject]:
    s3, bucket = sandbox.client("s3"), sandbox.names.inbox_bucket
    objects = []
    for number in range(UPLOADS):
        key, body = f"{cruise}/leg {number % 7}/é {number}.raw", file_head("EK60")
        stored = s3.put_object(Bucket=bucket, Key=key, Body=body)
        objects.append(NotifiedObject(bucket, key, len(body), stored["ETag"].strip('"')))
    return objects


def send(sandbox: Sandbox, storm: Storm) -> None:
    assert len(storm.bodies) == UPLOADS + REPORTED_AGAIN + MALFORMED == 300
    sqs = sandbox.client("sqs")
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    for start in range(0, len(storm.bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": body}
            for number, body in enumerate(storm.bodies[start : start + 10])
        ]
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")


def messages(sandbox: Sandbox, queue: str) -> int:
    """How many messages a queue has, including those in flight."""
    sqs = sandbox.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def wait_until_all_are_settled(sandbox: Sandbox) -> None:
    def settled() -> bool:
        sandbox.check()
        return messages(sandbox, sandbox.names.notifications_queue) == 0

    wait_until(settled, 400, "the queue to be empty", every=0.5)
    assert messages(sandbox, sandbox.names.dead_letter_queue) == 0


def runs_by_file(sandbox: Sandbox, cruise: str) -> Counter[str]:
    files = (run.parameters["raw_file"] for run in sandbox.api.flow_runs())
    return Counter(file for file in files if f"/{cruise}/" in file)


def once_each(objects: list[NotifiedObject]) -> dict[str, int]:
    return {f"s3://{item.bucket}/{item.key}": 1 for item in objects}


def all_are_counted(sandbox: Sandbox, watch: Watch, objects: list[NotifiedObject]) -> None:
    outcomes = watch.outcomes()
    # Each message names the one run of its upload.
    ids = {run.parameters["raw_file"]: run.id for run in sandbox.api.flow_runs()}
    assert watch.runs() == {(each.key, ids[f"s3://{each.bucket}/{each.key}"]) for each in objects}
    assert outcomes.pop("Rejected: malformed") == MALFORMED
    # How many are 'new' is not exact. If a create's answer was lost, by a kill or a time-out,
    # none of an upload's messages is. If two create its run in the same moment, Prefect answers
    # both that it is new: it compares the run's time with that of the request.
    assert outcomes["Submitted: new"] <= UPLOADS + CREATED_TWICE
    assert outcomes["Submitted: new"] + outcomes["Submitted: existing"] == UPLOADS + REPORTED_AGAIN
    assert set(outcomes) == {"Submitted: new", "Submitted: existing"}


def test_a_storm_makes_one_run_for_each_upload(system: Sandbox) -> None:
    objects, watch = upload(system, "calm"), Watch(system)
    send(system, make_storm(objects, seed=1))
    wait_until_all_are_settled(system)
    assert runs_by_file(system, "calm") == once_each(objects)
    all_are_counted(system, watch, objects)


def test_the_storm_has_the_same_result_if_prefect_is_killed_twice(system: Sandbox) -> None:
    objects, watch = upload(system, "killed"), Watch(system)
    send(system, make_storm(objects, seed=2))
    for share in (0.2, 0.5):
        wait_until(
            lambda share=share: watch.outcomes()["Submitted: new"] >= share * UPLOADS,  # type: ignore[misc]  # mypy can't infer a default's type
            300,
            f"{share:.0%} of the uploads to be submitted",
            describe=lambda: str(watch.outcomes()),
        )
        system.parts[prefect_server.NAME].kill()
        assert messages(system, system.names.notifications_queue) > 0, "it came too late"
        system.start_part(prefect_server.NAME)
    wait_until_all_are_settled(system)
    assert runs_by_file(system, "killed") == once_each(objects)
    all_are_counted(system, watch, objects)

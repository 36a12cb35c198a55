from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from events.notifications import NotifiedObject
from events.sending import Message, ReplayRow
from flows.runs.batch.batch_entries import batch_files
from flows.stores.request import ConversionRequest
from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.batches import MAX_PARAMETERS, Batchable, batches
from lambda_trigger.decisions.outcomes import BACKFILL
from lambda_trigger.decisions.rules_document import BatchRule, parse_rules
from lambda_trigger.decisions.rules_table import RulesError
from lambda_trigger.decisions.run_identity import RunRequest
from operations.findings.findings import Kind, Notify, Source, UploadFinding
from operations.sending.fixing import Fixer
from tests.envelopes import s3_event
from tests.file_heads import file_head
from tests.unit.operations.conftest import MemoryRuns
from tests.unit.trigger.conftest import RULES, Trigger

BATCH = """
[batch]
up_to_bytes = 900
max_files = 3
"""


@pytest.fixture
def trigger() -> Trigger:
    return Trigger(rules=RULES + BATCH)


def notification_of(trigger: Trigger, *keys: str, lane: str = "backfill") -> str:
    """One message with several uploads."""
    items = [
        NotifiedObject("inbox", key, stored.size, stored.etag, lane=lane)
        for key in keys
        for stored in [trigger.storage.objects[key]]
    ]
    return json.dumps(s3_event(items))


def put(trigger: Trigger, *keys: str, **facts: Any) -> None:
    for key in keys:
        trigger.storage.put(key, file_head("EK60") + key.encode(), **facts)


def fix(trigger: Trigger, *findings: tuple[str, Notify]) -> None:
    """Give the trigger, in one invocation, the messages that --fix and replay send."""

    class Handed:
        def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
            trigger.receive(*(message.body for message in messages))
            return [ReplayRow(message.source, "", "Sent", "", "") for message in messages]

    stored = {key: trigger.storage.objects[key] for key, _ in findings}
    when = datetime(2026, 1, 1, tzinfo=UTC)
    sources = {
        key: Source("inbox", key, item.size, item.etag, when) for key, item in stored.items()
    }
    found = [
        UploadFinding(Kind.CRASHED, key, source=sources[key], action=how) for key, how in findings
    ]
    list(Fixer(Handed(), MemoryRuns()).fix(found))


def outcomes(trigger: Trigger) -> list[tuple[str, str, str]]:
    return [(line["key"], line["message"], line.get("flow_run_id", "")) for line in trigger.lines]


def test_small_files_of_one_message_share_a_run_and_each_has_its_outcome(trigger: Trigger) -> None:
    put(trigger, "HB/a.raw", "HB/b.raw")
    assert trigger.receive(notification_of(trigger, "HB/a.raw", "HB/b.raw")) == {
        "batchItemFailures": []
    }
    (run,) = trigger.flow_runs.runs.values()
    assert run.deployment == "convert-raw-sonar-batch/ecs"
    assert run.lane == "backfill"
    assert run.name == "2 files · a · EK60 · HB …"
    assert {"bucket:inbox", "model:EK60", "cruise:HB"} < set(run.tags)
    identity = run.idempotency_key[:8]
    assert outcomes(trigger) == [
        ("HB/a.raw", "Submitted: new", identity),
        ("HB/b.raw", "Submitted: new", identity),
    ]
    # The flow accepts them unchanged.
    files = batch_files(run.parameters["files"], {"owner": "flow run 1", "run": {}})
    assert all(isinstance(file.request, ConversionRequest) for file in files)
    tagged = [tag[5:17] for tag in run.tags if tag.startswith("file:")]
    assert sorted(file.name[-12:] for file in files) == tagged
    assert [file.name[:-12] for file in files] == ["a.raw · ", "b.raw · "]


def test_a_forced_file_says_so_in_the_batch_and_its_wishes_reach_its_run(trigger: Trigger) -> None:
    put(trigger, "a.raw", "b.raw")
    lane = BACKFILL
    fix(
        trigger,
        ("a.raw", Notify(1, lane=lane, allow_partial=True)),
        ("b.raw", Notify(0, lane=lane)),
    )
    (run,) = trigger.flow_runs.runs.values()
    forced, plain = run.parameters["files"]
    assert (forced["forced"], forced["allow_partial"]) == (True, True)
    assert plain.keys().isdisjoint({"forced", "allow_partial"})


def test_the_identity_of_each_file_is_a_tag(trigger: Trigger) -> None:
    put(trigger, "a.raw", "b.raw")
    trigger.receive(notification_of(trigger, "a.raw", "b.raw"))
    (batch,) = trigger.flow_runs.runs.values()
    alone = Trigger(storage=trigger.storage)
    alone.receive(notification_of(trigger, "a.raw", "b.raw"))
    assert {f"file:{identity}" for identity in alone.flow_runs.runs} == {
        tag for tag in batch.tags if tag.startswith("file:")
    }


def test_messages_of_one_invocation_share_a_run_and_a_repetition_finds_it(
    trigger: Trigger,
) -> None:
    put(trigger, "a.raw", "b.raw")
    a, b = notification_of(trigger, "a.raw"), notification_of(trigger, "b.raw")
    trigger.receive(a, b)
    trigger.receive(b, a, a)
    assert len(trigger.flow_runs.runs) == 1
    assert [line["reason"] for line in trigger.lines] == ["new"] * 2 + ["existing"] * 3


@pytest.mark.parametrize("lane", ["live", "backfill"])
def test_a_short_time_out_leaves_time_to_settle_with_batches_enabled(
    trigger: Trigger, lane: str
) -> None:
    put(trigger, "HB/a.raw", "HB/b.raw")
    body = notification_of(trigger, "HB/a.raw", "HB/b.raw", lane=lane)
    record = {"messageId": "message-0", "body": body, "eventSourceARN": "arn:aws:sqs:x:1:uploads"}
    assert trigger.handle({"Records": [record]}, seconds=4.5) == {"batchItemFailures": []}
    assert {what for _, what, _ in outcomes(trigger)} == {"Submitted: new"}


def test_a_single_file_has_its_own_run(trigger: Trigger) -> None:
    put(trigger, "a.raw")
    trigger.receive(notification_of(trigger, "a.raw"))
    (run,) = trigger.flow_runs.runs.values()
    assert run.deployment == "convert-raw-sonar/ecs"
    assert run.parameters["raw_file"] == "s3://inbox/a.raw"


@pytest.mark.parametrize("keys", [("a.raw", "b.raw", "c.raw"), ("b.raw", "c.raw")])
def test_a_fix_of_a_crashed_batch_creates_one_run_for_each_file(
    trigger: Trigger, keys: tuple[str, ...]
) -> None:
    # The files of a crashed batch are sent again together: the same set as before, or another.
    trigger.rules = trigger.rules.replace('prefix = ""', 'prefix = ""\nbatch = true')
    put(trigger, "a.raw", "b.raw", "c.raw")
    trigger.receive(notification_of(trigger, "a.raw", "b.raw", "c.raw"))
    (batch,) = trigger.flow_runs.runs
    for _hour in range(2):
        fix(trigger, *((key, Notify(0, is_repair=True)) for key in keys))
    own = [run for identity, run in trigger.flow_runs.runs.items() if identity != batch]
    assert sorted(run.parameters["raw_file"] for run in own) == [f"s3://inbox/{k}" for k in keys]
    assert all("repair" in run.tags for run in own)
    assert "repair" not in trigger.flow_runs.runs[batch].tags


def test_only_small_files_of_the_lane_share_a_run(trigger: Trigger) -> None:
    put(trigger, "a.raw", "b.raw", "large.raw", "live.raw", "live2.raw")
    trigger.storage.objects["large.raw"].size = 901
    put(trigger, "paused.raw", size=1001)
    trigger.receive(
        notification_of(trigger, "a.raw", "large.raw", "b.raw", "paused.raw"),
        notification_of(trigger, "live.raw", "live2.raw", lane="live"),
    )
    deployments = sorted(run.deployment for run in trigger.flow_runs.runs.values())
    assert deployments == ["convert-raw-sonar-batch/ecs"] + ["convert-raw-sonar/ecs"] * 4
    assert len(trigger.lines) == 6


def test_live_uploads_share_a_run_if_their_prefix_allows_it(trigger: Trigger) -> None:
    trigger.rules = trigger.rules.replace('prefix = ""', 'prefix = ""\nbatch = true')
    put(trigger, "a.raw", "b.raw")
    trigger.receive(notification_of(trigger, "a.raw", "b.raw", lane="live"))
    (run,) = trigger.flow_runs.runs.values()
    assert (run.deployment, run.lane) == ("convert-raw-sonar-batch/ecs", "live")


def test_a_batch_respects_the_limit_and_separates_sizes_and_deployments(
    trigger: Trigger,
) -> None:
    # Files that need the large size, but are small by this rule.
    limits = {"pause_above = 1000": "pause_above = 10_000_000_000", "= 2000": "= 10_000_000_000"}
    trigger.rules = RULES + BATCH.replace("900", "5_000_000_000")
    for before, now in limits.items():
        trigger.rules = trigger.rules.replace(before, now)
    small = [f"{number}.raw" for number in range(4)]
    put(trigger, *small)
    for key in ("x.raw", "y.raw"):
        trigger.storage.put(key, file_head("EK80") + key.encode(), size=3_000_000_000)
    put(trigger, "netcdf/1.raw", "netcdf/2.raw")
    trigger.receive(
        notification_of(trigger, *small, "x.raw", "netcdf/1.raw", "y.raw", "netcdf/2.raw")
    )
    groups = [
        sorted(entry["raw_file"].rpartition("/")[2] for entry in run.parameters.get("files", []))
        for run in trigger.flow_runs.runs.values()
    ]
    assert sorted(groups) == [
        [],
        ["0.raw", "1.raw", "2.raw"],
        ["1.raw", "2.raw"],
        ["x.raw", "y.raw"],
    ]


def test_two_files_with_one_output_are_never_in_one_batch(trigger: Trigger) -> None:
    put(trigger, "a.raw", "a.RAW", "b.raw")
    trigger.receive(notification_of(trigger, "a.raw", "a.RAW", "b.raw"))
    for run in trigger.flow_runs.runs.values():
        entries = run.parameters.get("files", [run.parameters])
        assert len({entry["output_path"] for entry in entries}) == len(entries)
    assert len(trigger.flow_runs.runs) == 2


def test_a_batch_stays_within_the_parameter_limit_of_prefect() -> None:
    waiting = []
    for number in range(5):
        parameters = {"output_path": f"{number}", "filler": "x" * (MAX_PARAMETERS * 3 // 8)}
        wanted = RunRequest("f/d", "n", [], f"{number}", parameters, {}, "live")
        waiting.append(Batchable(wanted, "EK60", ""))
    assert [len(group) for group in batches(waiting, BatchRule(10**6, 100))] == [2, 2, 1]


def test_a_transport_error_returns_all_records_of_the_batch_and_no_other(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(trigger, "a.raw", "b.raw", "c.raw")
    create = trigger.flow_runs.create_run

    def fail(wanted: Any, deadline: Any) -> Any:
        if "files" in wanted.parameters:
            raise TransportError("prefect", "create_flow_run", "planned")
        return create(wanted, deadline)

    monkeypatch.setattr(trigger.flow_runs, "create_run", fail)
    answer = trigger.receive(
        notification_of(trigger, "a.raw"),
        notification_of(trigger, "c.raw", lane="live"),
        notification_of(trigger, "b.raw", "a.raw"),
    )
    assert answer == {
        "batchItemFailures": [{"itemIdentifier": "message-0"}, {"itemIdentifier": "message-2"}]
    }
    assert [line["outcome"] for line in trigger.lines] == ["Submitted"] + ["Retried"] * 3


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('lanes = ["fast"]', "lanes must be"),
        ("max_files = 0", "max_files must be"),
        ('up_to_bytes = "all"', "up_to_bytes must be"),
        ('deployment = "batch"', "deployment must be"),
        ("files = 3", "'files' is not known"),
    ],
)
def test_a_wrong_batch_table_is_refused_with_its_line(written: str, says: str) -> None:
    text = f"{RULES}[batch]\n{written}\n"
    with pytest.raises(RulesError, match=says) as raised:
        parse_rules(text)
    assert raised.value.line == text.count("\n")


def test_without_a_batch_table_there_are_no_batches() -> None:
    assert parse_rules(RULES).batch is None
    assert parse_rules(RULES + "[batch]\n").batch == BatchRule()

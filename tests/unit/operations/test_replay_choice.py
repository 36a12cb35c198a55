"""Which uploads are replayed, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lambda_trigger.decisions.rules_document import parse_rules
from operations.console.options import moment
from operations.findings.classification import ClassificationLimits
from operations.findings.findings import End, Kind, Notify, Retry, RunFacts, Source, UploadFinding
from operations.inventory.upload_inspection import UploadInspector
from operations.replay.choice import ReplayDecision, RunChoice, decide_replay
from tests.file_heads import file_head
from tests.unit.operations.conftest import FakeInbox, MemoryRuns

KEY, STORE = "cruise/a.raw", {"zarr.json": b"{}"}
Plant = Callable[[FakeInbox], object]
RULES = parse_rules(
    """
    version = 1
    inbox_bucket = "inbox"
    output_bucket = "output"
    archive_buckets = ["archive"]
    [[prefix]]
    prefix = ""
    deployment = "convert-raw-sonar/ecs"
    """
)


def decided(world: FakeInbox, *, force: bool = False, key: str = KEY) -> ReplayDecision:
    look = UploadInspector(world.services, ClassificationLimits(attempts=19), datetime.now(UTC))
    (found,) = look.at_uris([f"s3://{world.inbox}/{key}"])
    return decide_replay(found, force=force)


def ran(state: str, name: str, generation: int = 0) -> Plant:
    def plant(world: FakeInbox) -> None:
        world.run(world.drop(KEY), state, name, generation=generation)

    return plant


def published(world: FakeInbox) -> None:
    world.publish(world.drop(KEY), "cruise/a.zarr", STORE)
    world.run(world.source(KEY), "COMPLETED", "Completed")


def published_and_forgotten(world: FakeInbox) -> None:
    world.publish(world.drop(KEY), "cruise/a.zarr", STORE)


def failed_again_after_it_was_forced(world: FakeInbox) -> None:
    published(world)
    for generation in range(1, 5):
        world.run(world.source(KEY), "COMPLETED", "Completed", generation=generation)
    world.s3.delete_object(Bucket=world.output, Key="cruise/a.zarr.manifest.json")
    world.run(world.source(KEY), "FAILED", "TransientFault", generation=5)


@pytest.mark.parametrize(
    ("plant", "action", "forced"),
    [
        (lambda world: world.drop(KEY), Notify(0), Notify(0)),
        (published, None, Notify(1)),
        (published_and_forgotten, None, Notify(1)),
        (ran("RUNNING", "Running"), None, None),
        (ran("SCHEDULED", "Late"), None, None),
        (ran("PAUSED", "Suspended"), None, None),
        (ran("FAILED", "BadFile"), Retry, Notify(1)),
        (ran("CRASHED", "Crashed"), Retry, Notify(1)),
        (ran("CANCELLED", "Cancelled"), Notify(1), Notify(1)),
        # Completed, but without an output.
        (ran("COMPLETED", "Completed"), Notify(1), Notify(1)),
        (failed_again_after_it_was_forced, Retry, Notify(6)),
        (lambda world: world.drop(KEY, b"a text"), None, None),
    ],
)
def test_a_failed_upload_is_retried_and_a_finished_one_only_if_forced(
    world: FakeInbox, plant: Plant, action: Notify | type[Retry] | None, forced: Notify | None
) -> None:
    plant(world)
    wanted = decided(world)
    if action is Retry:
        assert isinstance(wanted.action, Retry)
    else:
        assert wanted.action == action
    assert decided(world, force=True).action == forced


def test_obstacles_are_reported_and_a_settled_upload_is_not_a_failure(world: FakeInbox) -> None:
    assert decided(world, key="gone.raw") == ReplayDecision(
        None, "ignored: superseded: the object is gone"
    )
    world.drop("notes.mp3")
    assert "unknown-extension" in decided(world, key="notes.mp3").why
    published(world)
    assert decided(world) == ReplayDecision(None, "done", settled=True)


def test_a_run_whose_task_is_gone_is_ended_and_retried_and_one_with_a_task_is_left(
    world: FakeInbox,
) -> None:
    long_ago = timedelta(hours=1)
    dead = world.run(world.drop(KEY), "RUNNING", "Running", ago=long_ago, has_task=False)
    assert decided(world).action == End(dead.id, "state", retry=True)
    world.run(world.drop(KEY), "FAILED", "BadFile", ago=long_ago, has_task=True)
    assert decided(world) == ReplayDecision(
        None, "its task still exists, though BadFile", settled=True
    )
    assert decided(world, force=True).action is None
    world.run(world.drop(KEY), "CRASHED", "Crashed", ago=long_ago, has_task=True)
    assert decided(world).why == "running: its task still exists, though Crashed"


def test_a_run_with_outdated_parameters_is_not_retried(world: FakeInbox) -> None:
    run = world.run(world.drop(KEY), "FAILED", "WrongModel")
    ident = next(iter(world.runs.runs))
    world.runs.runs[ident] = replace(run, parameters={**run.parameters, "sonar_model": "ES70"})
    assert decided(world).action == Notify(1)


def ended(raw_file: str, version: str) -> RunFacts:
    now = datetime.now(UTC)
    return RunFacts(*("", "", "FAILED", "BadFile", "", 1, now, raw_file), version=version)


def test_runs_are_chosen_by_state_time_prefix_outcome_and_version() -> None:
    runs = MemoryRuns(
        {
            "1": ended("s3://inbox/a/1.raw", "0.1"),
            "2": ended("s3://inbox/b/2.raw", "0.1"),
            "3": ended("s3://inbox/a/1.raw", "0.2"),
            "4": ended("s3://inbox/a/3.raw", "0.2"),
            "5": ended("s3://elsewhere/a/4.raw", "0.1"),
            "6": ended("s3://archive/a/5.raw", "0.2"),
        }
    )
    of_prefix = RunChoice(prefix="a/").uploads(runs, RULES)
    assert of_prefix == ["s3://inbox/a/1.raw", "s3://inbox/a/3.raw", "s3://archive/a/5.raw"]
    of_version = RunChoice(version="0.1").uploads(runs, RULES)
    assert of_version == ["s3://inbox/a/1.raw", "s3://inbox/b/2.raw"]
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert RunChoice(since, outcomes=("Completed",)).uploads(runs, RULES) == []
    assert runs.requested_states[1:] == [(("FAILED", "CRASHED"), None), ((), since)]


def test_a_time_is_a_duration_or_a_date() -> None:
    now = datetime(2026, 2, 1, tzinfo=UTC)
    assert moment("24h", now) == now - timedelta(days=1)
    assert moment("2026-01-31", now) == datetime(2026, 1, 31, tzinfo=UTC)
    assert moment("2026-01-31T12:00+02:00", now) == datetime(2026, 1, 31, 10, tzinfo=UTC)
    with pytest.raises(ValueError, match="'yesterday' is not a time"):
        moment("yesterday", now)


def test_an_upload_of_another_sonar_is_decided_as_the_trigger_would(world: FakeInbox) -> None:
    world.drop("a/15.01A", file_head("AZFP"))
    assert decided(world, key="a/15.01A").why.startswith("waiting: sidecar")


def test_a_file_that_failed_in_a_batch_is_sent_again_for_a_run_of_its_own() -> None:
    source = Source("inbox", KEY, 1, "tag", datetime.now(UTC))
    # The state belongs to the file's task run, so Prefect can't retry the batch from it.
    run = RunFacts("run", "of the file", "FAILED", "BadFile", "", 1, source.modified, in_batch=True)
    found = UploadFinding(Kind.QUARANTINED, source.uri, source=source, run_id=run.id, latest=run)
    assert decide_replay(found, force=False) == ReplayDecision(Notify(0, is_repair=True))


def test_an_upload_that_an_earlier_call_retried_is_not_chosen_again(world: FakeInbox) -> None:
    """A killed forced replay resumes: uploads that it replayed have another latest run."""
    began = datetime.now(UTC)
    look = UploadInspector(world.services, ClassificationLimits(), began)

    def again(choice: RunChoice) -> ReplayDecision:
        (found,) = look.at_uris([f"s3://{world.inbox}/{KEY}"])
        return decide_replay(found, force=True, choice=choice)

    world.publish(world.drop(KEY), "cruise/a.zarr", STORE)
    old = timedelta(hours=1)
    world.run(world.source(KEY), "COMPLETED", "Completed", version="0.1", ago=old)
    by_version = RunChoice(outcomes=("Completed",), version="0.1")
    by_time = RunChoice(outcomes=("Completed",), until=began)
    assert again(by_version).action == again(by_time).action == Notify(1)
    later = -timedelta(minutes=1)
    world.run(world.source(KEY), "COMPLETED", "Completed", generation=1, version="0.2", ago=later)
    settled = ReplayDecision(None, "run again since", settled=True)
    assert again(by_version) == again(by_time) == settled
    assert again(RunChoice(outcomes=("Completed",))).action == Notify(2)

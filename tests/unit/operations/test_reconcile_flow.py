"""The scheduled reconciliation: what it fixes, its limits, and its report."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import BACKFILL, LIVE, Upload
from operations.catalog.places import BucketPlace
from operations.catalog.terminal import update_after
from operations.clients.connections import connect
from operations.clients.prefect_runs import PrefectRuns
from operations.console.report import FindingTally
from operations.findings.findings import ChangeResult, Kind, Notify, Retry, Source, UploadFinding
from operations.inventory.upload_inspection import Scope
from operations.reconcile import reconcile_flow
from operations.reconcile.reconcile_flow import VERIFY_DAYS, reconcile_inbox
from operations.reconcile.reconcile_report import figures, verdict
from tests.file_heads import file_head
from tests.unit.operations.conftest import FakeInbox, put
from watchdog.prefect_http import PrefectUnreachableError

# Each runs the flow with catalogue and marks.
pytestmark = pytest.mark.slow

Reconcile = Callable[..., tuple[str, list[dict[str, Any]]]]


@pytest.fixture
def reconcile(
    world: FakeInbox, rules: Path, queue: str, monkeypatch: pytest.MonkeyPatch
) -> Reconcile:
    """Run the flow's code on the inbox; return the name of its state, and its report."""
    monkeypatch.setenv("ECHODROP_REPORTS", f"s3://{world.output}/.echodrop/reconcile/")
    monkeypatch.setenv("ECHODROP_QUEUE_URL", queue)
    monkeypatch.setenv("ECHODROP_STACK", "echodrop")
    monkeypatch.setattr(reconcile_flow, "connect", lambda: connect(rules))
    monkeypatch.setattr(reconcile_flow, "get_run_logger", lambda: logging.getLogger("test"))
    monkeypatch.setattr(reconcile_flow, "create_table_artifact", lambda *_, **__: None)
    # It takes a process's start; one test has it.
    monkeypatch.setattr(reconcile_flow, "update_after", lambda _: (None, ""))

    def call(**asked: Any) -> tuple[str, list[dict[str, Any]]]:
        state: Any = reconcile_inbox.fn(grace_minutes=0, rate=1000, **asked)
        _, _, bucket, key = state.message.partition("report ")[2].partition(";")[0].split("/", 3)
        body = world.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return state.name, [json.loads(line) for line in body.splitlines()]

    return call


def notified(sqs: Any, queue: str) -> list[Upload]:
    found: list[Upload] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            (upload,) = read_body(message["Body"])
            assert isinstance(upload, Upload)
            found.append(upload)
    return found


def archived(source: Source, *_: object) -> str:
    """Choose the lane by age, with an archive below one prefix."""
    return BACKFILL if source.key.startswith("a/") else LIVE


@pytest.mark.parametrize(("unended", "room"), [(200, 0), (193, 7)])
def test_beside_a_backfill_a_lost_upload_goes_first_and_the_archive_only_into_its_lanes_room(
    world: FakeInbox,
    reconcile: Reconcile,
    queue: str,
    aws: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    unended: int,
    room: int,
) -> None:
    monkeypatch.setattr("operations.findings.classification._lane", archived)
    monkeypatch.setattr(PrefectRuns, "unfinished_in", lambda *_: unended)
    for number in range(20):
        world.drop(f"a/{number:02}.raw", file_head("EK60"))
    world.drop("z/new.raw")
    name, lines = reconcile(limit=10)
    uploads = notified(aws("sqs"), queue)
    assert Counter(each.lane for each in uploads) == Counter({LIVE: 1, BACKFILL: room})
    assert [each.key for each in uploads if each.lane == LIVE] == ["z/new.raw"]
    assert name == "NeedsAttention"
    assert lines[-1]["counts"] == {"never notified": 1, "backlog": 20}
    assert lines[-1]["fixed"] == {"notified": 1 + room}


def test_the_limit_counts_fixes_and_not_refused_retries(
    world: FakeInbox, reconcile: Reconcile, queue: str, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        world.run(world.drop(f"{number}.raw"), "CRASHED", "Crashed", message="no such image")
    world.drop("lost.raw")
    refused = ChangeResult("left alone", why="it is now Running")
    monkeypatch.setattr(PrefectRuns, "retry", lambda *_, **__: refused)
    name, lines = reconcile(limit=1)
    assert [each.key for each in notified(aws("sqs"), queue)] == ["lost.raw"]
    assert name == "NeedsAttention"
    assert lines[-1]["fixed"]["notified"] == 1
    assert lines[-1]["fixed"].get("left alone", 0) >= 1
    # All are tried if all fixes fail.
    _, lines = reconcile(limit=500)
    assert lines[-1]["fixed"] == {"left alone": 6, "notified": 1}


def test_without_fix_nothing_is_changed(
    world: FakeInbox, reconcile: Reconcile, queue: str, aws: Any
) -> None:
    world.drop("lost.raw")
    assert reconcile(fix=False)[0] == "NeedsAttention"
    assert notified(aws("sqs"), queue) == []
    assert reconcile()[0] == "Repaired"
    assert len(notified(aws("sqs"), queue)) == 1


STORE = {"zarr.json": b"{}", "Sonar/c/0": b"\1\2\3"}


def done(world: FakeInbox, key: str) -> None:
    world.publish(world.drop(key), key.replace(".raw", ".zarr"), STORE)


def test_an_hourly_run_checks_unsettled_uploads_and_finds_lost_ones(
    world: FakeInbox, reconcile: Reconcile, queue: str, aws: Any
) -> None:
    for number in range(5):
        done(world, f"old/{number}.raw")
    # The first run checks everything, and keeps what it finds done.
    assert reconcile()[0] == "Completed"
    world.s3.delete_object(Bucket=world.output, Key="old/3.zarr/Sonar/c/0")
    world.run(world.source("old/3.raw"), "COMPLETED", "Completed")
    world.drop("lost.raw")
    name, lines = reconcile()
    assert (name, lines[-1]["counts"]) == ("Repaired", {"done": 5, "never notified": 1})
    assert [each.key for each in notified(aws("sqs"), queue)] == ["lost.raw"]
    # The check of everything finds and fixes a settled output that was damaged since.
    name, lines = reconcile(whole=True, verify_days=0)
    assert lines[-1]["counts"] == {"done": 4, "never notified": 1, "output damaged": 1}
    assert {each.key for each in notified(aws("sqs"), queue)} == {"lost.raw", "old/3.raw"}
    # Then each hourly run checks it, until it is done.
    assert reconcile()[1][-1]["counts"]["output damaged"] == 1
    for key in ("old/3.raw", "lost.raw"):
        done(world, key)
    assert reconcile()[1][-1]["counts"] == {"done": 6}


def test_an_interrupted_run_settles_nothing(
    world: FakeInbox, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(world, "a.raw")
    reconcile()
    world.drop("lost.raw")

    def away(*_: object, **__: object) -> None:
        raise PrefectUnreachableError("planned")

    monkeypatch.setattr(PrefectRuns, "with_tasks", away)
    with pytest.raises(PrefectUnreachableError, match="planned"):
        reconcile()
    monkeypatch.setattr(PrefectRuns, "with_tasks", lambda _: world.runs.with_tasks())
    assert reconcile()[1][-1]["counts"] == {"done": 1, "never notified": 1}


def test_unreadable_marks_are_replaced_by_a_check_of_everything(
    world: FakeInbox, reconcile: Reconcile
) -> None:
    done(world, "a.raw")
    reconcile()
    world.s3.delete_object(Bucket=world.output, Key="a.zarr/Sonar/c/0")
    assert reconcile()[1][-1]["counts"] == {"done": 1}
    key = ".echodrop/reconcile/settled"
    world.s3.put_object(Bucket=world.output, Key=key, Body=b"no notes")
    assert reconcile()[1][-1]["counts"] == {"output damaged": 1}


def test_the_catalogue_is_brought_up_to_date_and_its_fault_changes_no_result(
    world: FakeInbox, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(world, "a.raw")
    reconciled = reconcile()[0]
    monkeypatch.setattr(reconcile_flow, "update_after", update_after)
    place = BucketPlace(world.s3, world.output, "")
    # Outputs without an upload; the catalogue has them, too.
    put(place, "cruise/b.zarr")
    state: Any = reconcile_inbox.fn(grace_minutes=0)
    assert state.name == reconciled == "Completed"
    # The manifest of this test's upload has no contents.
    assert state.message.endswith("1 manifests or reports can't be read")
    assert state.data["catalog"]["outputs"] == 1
    assert place.open("catalog/cruises/cruise/b.zarr.json") is not None

    put(place, "cruise/c.zarr")
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    for fault, says in (
        (subprocess.CompletedProcess([], 2, "", "S3 refuses"), "its update failed: S3 refuses"),
        (
            subprocess.run(killed, capture_output=True, check=False, text=True),
            "its update was ended by signal 9: ",
        ),
        (
            subprocess.TimeoutExpired("python", 1800),
            "TimeoutExpired: Command 'python' timed out after 1800 seconds",
        ),
    ):
        monkeypatch.setattr("subprocess.run", Mock(side_effect=[fault]))
        state = reconcile_inbox.fn(grace_minutes=0)
        assert (state.name, state.data["counts"]) == ("Completed", {"done": 1})
        assert state.data["catalog"] is None
        assert state.message.endswith(f"the catalogue is not up to date: {says}")


def test_a_run_for_a_prefix_checks_all_of_it_and_settles_nothing(
    world: FakeInbox, reconcile: Reconcile
) -> None:
    done(world, "a.raw")
    done(world, "b/1.raw")
    reconcile()
    world.s3.delete_object(Bucket=world.output, Key="b/1.zarr/Sonar/c/0")
    assert reconcile(prefix="b/")[1][-1]["counts"] == {"output damaged": 1}
    assert reconcile()[1][-1]["counts"] == {"done": 2}


def test_the_age_of_the_last_full_check_is_a_metric_each_hour(
    world: FakeInbox, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages: list[timedelta | None] = []

    def record(stack: str, tally: FindingTally, seconds: float, age: timedelta | None) -> Any:
        ages.append(age)
        return figures(stack, tally, seconds, age)

    monkeypatch.setattr(reconcile_flow, "figures", record)
    world.drop("a.raw")
    reconcile()
    reconcile()
    reconcile(whole=True)
    reconcile(prefix="a")
    first, hourly, whole, partial = ages
    assert (first, whole, partial) == (timedelta(), timedelta(), None)
    assert hourly is not None
    assert timedelta() < hourly < timedelta(minutes=10)


def found(kind: Kind, action: Notify | Retry | None = None) -> UploadFinding:
    return UploadFinding(kind, "s3://inbox/a.raw", action=action)


@pytest.mark.parametrize(
    ("findings", "fixed", "name"),
    [
        ([found(Kind.DONE), found(Kind.RUNNING)], [], "Completed"),
        ([found(Kind.CRASHED, Retry("run", "state"))], [True], "Repaired"),
        ([found(Kind.CRASHED, Retry("run", "state"))], [False], "NeedsAttention"),
        ([found(Kind.NEVER_NOTIFIED, Notify(0)), found(Kind.REJECTED)], [True], "NeedsAttention"),
        ([found(Kind.QUARANTINED)], [], "NeedsAttention"),
    ],
)
def test_the_final_state_depends_on_what_is_left(
    findings: list[UploadFinding], fixed: list[bool], name: str
) -> None:
    tally = FindingTally()
    for each in findings:
        tally.add(each)
    for done in fixed:
        tally.add_result(ChangeResult("retried" if done else "left alone", done=done))
    assert verdict(tally, "s3://output/report")[0] == name


def test_each_output_is_read_in_full_in_one_hour_of_its_period() -> None:
    scope, began = Scope(verify_days=VERIFY_DAYS), datetime(2026, 1, 1, tzinfo=UTC)
    outputs = [f"cruise/{number}.zarr" for number in range(2000)]
    hours = [began + timedelta(hours=hour) for hour in range(24 * VERIFY_DAYS)]
    read = [sum(scope.reads(output, hour) for output in outputs) for hour in hours]
    assert sum(read) == len(outputs)
    assert max(read) < 20
    assert not any(Scope().reads(output, began) for output in outputs)
    assert all(Scope(verify=True).reads(output, began) for output in outputs)

"""The status of the uploads of a window, and of older ones."""

from __future__ import annotations

import io
import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lambda_trigger.decisions.rules_document import parse_rules
from operations.console.options import duration
from operations.findings.classification import ClassificationLimits
from operations.findings.findings import Kind
from operations.inventory.listings import read_manifest_of
from operations.inventory.upload_inspection import Scope, UploadInspector
from operations.reconcile.reconciliation import Reconciliation
from operations.status.health import DEAD_LETTERS, QUEUE, HealthLine, health_lines
from operations.status.terminal import recent_findings
from operations.status.upload import FollowedUpload, follow
from tests.unit.operations.conftest import FakeInbox, HealthyPrefect

STORE = {"zarr.json": b"{}"}


def status_of(
    world: FakeInbox, window: timedelta, *, later: timedelta, prefix: str = ""
) -> dict[str, Kind]:
    reconciliation = Reconciliation(world.services, Scope(prefix), now=datetime.now(UTC) + later)
    found = list(recent_findings(reconciliation, window))
    by_key = {each.uri.split("/", 3)[3]: each.kind for each in found}
    assert len(by_key) == len(found), "something is listed twice"
    return by_key


def test_uploads_of_the_window_are_listed_by_class(world: FakeInbox) -> None:
    world.publish(world.drop("done.raw"), "done.zarr", STORE)
    world.run(world.drop("failed.raw"), "FAILED", "BadFile")
    world.run(world.drop("running.raw"), "RUNNING", "Running")
    world.drop("lost.raw")
    world.drop("notes.txt")
    # Refused for its bytes: no run, no report, so only the status shows it.
    world.drop("text.raw", b"a text")
    assert status_of(world, timedelta(hours=24), later=timedelta(hours=1)) == {
        "done.raw": Kind.DONE,
        "failed.raw": Kind.QUARANTINED,
        "running.raw": Kind.RUNNING,
        "lost.raw": Kind.NEVER_NOTIFIED,
        "notes.txt": Kind.IGNORED,
        "text.raw": Kind.REJECTED,
    }


def test_older_uploads_are_listed_if_a_run_is_unfinished_or_failed_recently(
    world: FakeInbox,
) -> None:
    later = timedelta(hours=5)
    world.drop("lost.raw")
    world.run(world.drop("queued.raw"), "SCHEDULED", "Late")
    world.run(world.drop("failed.raw"), "FAILED", "BadFile", ago=-timedelta(hours=4))
    world.run(world.drop("long ago.raw"), "FAILED", "BadFile")
    converted_since = world.drop("converted-since.raw")
    world.run(converted_since, "FAILED", "TransientFault", ago=-timedelta(hours=4))
    world.publish(converted_since, "converted-since.zarr", STORE)
    gone = world.drop("gone.raw")
    world.run(gone, "CRASHED", "Crashed", ago=-timedelta(hours=4))
    world.s3.delete_object(Bucket=world.inbox, Key="gone.raw")
    assert status_of(world, timedelta(hours=2), later=later) == {
        "queued.raw": Kind.LATE,
        "failed.raw": Kind.QUARANTINED,
        # Quarantined until it is corrected, even if it failed long ago.
        "long ago.raw": Kind.QUARANTINED,
        "converted-since.raw": Kind.DONE,
        "gone.raw": Kind.IGNORED,
    }
    assert status_of(world, timedelta(hours=2), later=later, prefix="f") == {
        "failed.raw": Kind.QUARANTINED
    }


def test_archive_uploads_are_listed_if_they_run_or_failed(archive: FakeInbox) -> None:
    for name in ("running", "bad", "never asked"):
        archive.put_into_archive(f"{name}.raw")
    archive.run(archive.source("running.raw", archive.archive), "RUNNING", "Running")
    archive.run(archive.source("bad.raw", archive.archive), "FAILED", "BadFile")
    assert status_of(archive, timedelta(hours=2), later=timedelta(hours=5)) == {
        "running.raw": Kind.RUNNING,
        "bad.raw": Kind.QUARANTINED,
    }


def test_a_batch_that_died_after_its_last_file_is_listed(world: FakeInbox) -> None:
    world.publish(world.drop("a.raw"), "a.zarr", STORE)
    run = world.run(world.source("a.raw"), "COMPLETED", "Completed")
    dead = replace(run, id="batch", in_batch=True, state_type="RUNNING", state_name="Running")
    world.runs.others, world.tasks.there["batch"] = [dead], False
    later = timedelta(hours=5)
    assert status_of(world, timedelta(hours=2), later=later) == {"a.raw": Kind.STUCK}


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def health(
    prefect: HealthyPrefect, dead: int = 0, queues: dict[str, str | None] | None = None
) -> dict[str, HealthLine]:
    asked: list[str] = []

    def ask(method: str, path: str, body: object) -> Any:
        asked.append(path)
        return prefect.ask(method, path, body)

    rules = parse_rules(
        'version = 1\ninbox_bucket = "inbox"\noutput_bucket = "output"\n'
        '[[prefix]]\nprefix = ""\ndeployment = "flow/ecs"'
    )
    urls = {DEAD_LETTERS: "url", **(queues or {})}
    found = {line.part: line for line in health_lines(rules, ask, lambda _: dead, urls, NOW)}
    assert [path for path in asked if "deployments" in path] == ["/deployments/name/flow/ecs"]
    return found


@pytest.mark.parametrize(
    ("facts", "dead", "faulty", "remedy"),
    [
        ({}, 0, None, ""),
        ({}, 1, "dead letters", "echodrop replay --dlq"),
        ({"paused": True}, 0, "work pool", "prefect work-pool resume ships"),
        ({"paused": True, "late": 2}, 0, "work pool", "prefect work-pool resume ships"),
        ({"heartbeat": None}, 0, "worker", "WorkerAlarm"),
        ({"heartbeat": NOW - timedelta(hours=3)}, 0, "worker", "WorkerHeartbeatAlarm"),
        ({"late": 2}, 0, "lane live", "RunsLateAlarm"),
        ({"unknown": ("deployments",)}, 0, "deployment", "echodrop deploy"),
        ({"failed_drawings": 2}, 0, "products", "ProductsFailedAlarm"),
        ({"unknown": ("work_pools",)}, 0, "work pool", "echodrop deploy"),
    ],
)
def test_a_fault_of_the_system_has_its_part_and_its_remedy(
    facts: dict[str, Any], dead: int, faulty: str | None, remedy: str
) -> None:
    found = health(HealthyPrefect(**{"heartbeat": NOW, **facts}), dead)
    assert {part for part, line in found.items() if line.is_fault} == (
        {faulty} if faulty else set()
    )
    if faulty:
        assert remedy in found[faulty].remedy


def test_a_lane_says_what_waits_and_runs_and_its_limit() -> None:
    found = health(HealthyPrefect(heartbeat=NOW))
    assert found["lane live"].state == "3 runs waiting, 3 running of at most 10"
    assert found["lane backfill"].state == "900 runs waiting, 900 running"
    assert "lane default" not in found


def test_a_queue_without_a_known_url_is_unknown_and_not_a_fault() -> None:
    line = health(HealthyPrefect(heartbeat=NOW), queues={QUEUE: None})[QUEUE]
    assert line.state.startswith("unknown")
    assert not line.is_fault


@pytest.mark.parametrize("width", [80, 200, None])
def test_an_upload_is_followed_to_its_outcome_with_the_command_to_type(
    world: FakeInbox, width: int | None
) -> None:
    key = "cruises/2007/" + "a very long leg of a survey/" * 4 + "it's.raw"
    message = f"s3://{world.inbox}/{key}: the file ends within a datagram (intact up to byte 4711)"
    run = world.run(world.drop(key), "FAILED", "BadFile", message=message)

    inspector = UploadInspector(world.services, ClassificationLimits(), datetime.now(UTC))
    found = follow(f"s3://{world.inbox}/{key}", inspector)
    terminal = {"force_terminal": True, "width": width, "color_system": None} if width else {}
    console = Console(file=io.StringIO(), **terminal)  # type: ignore[arg-type]
    found.print(console, datetime.now(UTC))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    text = " ".join(printed.split())
    assert "EK60, by its bytes; run of convert-raw-sonar/ecs" in text
    assert text.count("the file ends within a datagram (intact up to byte 4711)") == 1
    assert "outcome quarantined: BadFile: the file ends" in text
    assert "get an intact copy" in text
    quoted = shlex.quote(f"s3://{world.inbox}/{key}")
    assert f"  type      echodrop replay {quoted} --allow-partial\n" in printed
    assert f"s3://{world.output}/{key.removesuffix('.raw')}.zarr\n" in printed
    assert f"http://prefect/runs/flow-run/{run.id}\n" in printed
    assert not found.is_under_way


def test_an_upload_that_is_done_or_under_way_needs_no_command(world: FakeInbox) -> None:
    world.publish(world.drop("done.raw"), "done.zarr", STORE)
    world.run(world.drop("running.raw"), "RUNNING", "Running")
    inspector = UploadInspector(world.services, ClassificationLimits(), datetime.now(UTC))

    def look(name: str) -> FollowedUpload:
        return follow(f"s3://{world.inbox}/{name}.raw", inspector)

    found = [look("done"), look("running"), look("gone")]
    assert [each.found.kind for each in found] == [Kind.DONE, Kind.RUNNING, Kind.IGNORED]
    assert {each.command + each.remedy for each in found} == {""}
    assert [each.is_under_way for each in found] == [False, True, False]
    assert found[0].products.endswith(f"echodrop draw s3://{world.output}/done.zarr")
    manifest = read_manifest_of(world.s3, world.output, "done.zarr")
    assert manifest is not None
    record = {"output_sha256": manifest.sha256, "products": {}}
    place = {"Bucket": world.output, "Key": "done.zarr.products.json"}
    world.s3.put_object(**place, Body=json.dumps(record))
    assert look("done").products == "the picture and the viewer store are current"


@given(st.integers(0, 36525), st.sampled_from("smhd"))
def test_a_duration_is_parsed(number: int, unit: str) -> None:
    word = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[unit]
    assert duration(f" {number}{unit}") == timedelta(**{word: number})


@pytest.mark.parametrize("text", ["", "24", "h", "1.5h", "-1h", "1w", "99999999d", "1h30m"])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|longer than a century"):
        duration(text)

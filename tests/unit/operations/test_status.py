"""The status of the uploads of a window, and of older ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.console.durations import duration
from operations.findings.findings import Kind
from operations.inventory.scope import Scope
from operations.reconcile.reconciliation import Reconciliation
from operations.reconcile.status import Status
from tests.unit.operations.conftest import FakeInbox

STORE = {"zarr.json": b"{}"}


def status_of(
    world: FakeInbox, window: timedelta, *, later: timedelta, prefix: str = ""
) -> dict[str, Kind]:
    reconciliation = Reconciliation(world.services, Scope(prefix), now=datetime.now(UTC) + later)
    found = list(Status(reconciliation, window).findings())
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


@given(st.integers(0, 36525), st.sampled_from("smhd"))
def test_a_duration_is_parsed(number: int, unit: str) -> None:
    word = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[unit]
    assert duration(f" {number}{unit}") == timedelta(**{word: number})


@pytest.mark.parametrize("text", ["", "24", "h", "1.5h", "-1h", "1w", "99999999d", "1h30m"])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|longer than a century"):
        duration(text)

"""Each faulty class is created in the buckets and found with its remedy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.failures.failure_report import FAILURES
from lambda_trigger.decisions.outcomes import BACKFILL, LIVE
from operations.findings.findings import (
    NEEDS_ATTENTION,
    WITHOUT_PRODUCTS,
    End,
    Kind,
    Notify,
    Retry,
)
from operations.inventory.listings import output_now
from operations.inventory.upload_inspection import Scope
from operations.reconcile.reconciliation import Reconciliation
from tests.file_heads import file_head
from tests.unit.operations.conftest import FakeInbox

STORE = {"zarr.json": b"{}", "Sonar/zarr.json": b"{}", "Sonar/c/0": b"\1\2\3"}
KEY, OUTPUT = "cruise 1/D2007-å+.raw", "cruise 1/D2007-å+.zarr"

Plant = Callable[[FakeInbox], object]


def whole(world: FakeInbox) -> None:
    world.publish(world.drop(KEY), OUTPUT, STORE)


def removed_object(world: FakeInbox) -> None:
    whole(world)
    world.run(world.source(KEY), "COMPLETED", "Completed")
    world.s3.delete_object(Bucket=world.output, Key=f"{OUTPUT}/Sonar/c/0")


def removed_object_without_a_run(world: FakeInbox) -> None:
    whole(world)
    world.s3.delete_object(Bucket=world.output, Key=f"{OUTPUT}/Sonar/c/0")


def unreadable_manifest(world: FakeInbox) -> None:
    removed_object(world)
    world.s3.put_object(Bucket=world.output, Key=f"{OUTPUT}.manifest.json", Body=b"{}")


def completed_without_output(world: FakeInbox) -> None:
    world.run(world.drop(KEY), "COMPLETED", "Completed")


def torn(world: FakeInbox) -> None:
    world.run(world.drop(KEY), "CRASHED", "Crashed", message="exit code 137")
    world.s3.put_object(Bucket=world.output, Key=f"{OUTPUT}/Sonar/c/0", Body=b"\1")


def torn_without_a_run(world: FakeInbox) -> None:
    world.drop(KEY)
    world.s3.put_object(Bucket=world.output, Key=f"{OUTPUT}/Sonar/c/0", Body=b"\1")


def replaced_upload(world: FakeInbox) -> None:
    whole(world)
    world.drop(KEY, file_head("EK60") + b"newer")


def two_uploads_of_one_output(world: FakeInbox) -> None:
    world.publish(world.drop(KEY.replace(".raw", ".RAW")), OUTPUT, STORE)
    world.drop(KEY)


def run(state: str, name: str, **facts: object) -> Plant:
    def plant(world: FakeInbox) -> None:
        world.run(world.drop(KEY), state, name, **facts)  # type: ignore[arg-type]  # a table's facts

    return plant


LONG = timedelta(hours=7)
# Uploads older than a day are sent in the backfill lane.
OLD = Notify(0, lane=BACKFILL)
NEW_GENERATION = Notify(1, is_repair=True, lane=BACKFILL)
PLANTED: dict[str, tuple[Plant, Kind, Notify | type[Retry | End] | None]] = {
    "whole": (whole, Kind.DONE, None),
    "never notified": (lambda world: world.drop(KEY), Kind.BACKLOG, OLD),
    "companion": (lambda world: world.drop(KEY + ".bot"), Kind.IGNORED, None),
    "unknown extension": (lambda world: world.drop(KEY + ".mp3"), Kind.REJECTED, None),
    "other bytes": (lambda world: world.drop(KEY, b"a text"), Kind.REJECTED, None),
    "empty": (lambda world: world.drop(KEY, b""), Kind.REJECTED, None),
    "settings absent": (
        lambda world: world.drop("a/15.01A", file_head("AZFP")),
        Kind.OVERDUE,
        None,
    ),
    "scheduled": (run("SCHEDULED", "Scheduled"), Kind.LATE, None),
    "pending": (run("PENDING", "Pending"), Kind.LATE, None),
    "stuck": (run("RUNNING", "Running", ago=LONG), Kind.STUCK, None),
    "stuck, with its task": (
        run("RUNNING", "Running", ago=LONG, has_task=True),
        Kind.STUCK,
        None,
    ),
    "its task gone": (run("RUNNING", "Running", has_task=False), Kind.STUCK, End),
    "its task never there": (run("PENDING", "Submitting", has_task=False), Kind.STUCK, End),
    "to be cancelled, its task gone": (
        run("CANCELLING", "Cancelling", has_task=False),
        Kind.STUCK,
        End,
    ),
    "called crashed too early": (run("CRASHED", "Crashed", has_task=True), Kind.RUNNING, None),
    "at fault, its task winding down": (
        run("FAILED", "BadFile", has_task=True),
        Kind.QUARANTINED,
        None,
    ),
    "refused, its task winding down": (
        run("FAILED", "AccessDenied", has_task=True),
        Kind.FAILED,
        None,
    ),
    "paused": (run("PAUSED", "Suspended"), Kind.PAUSED, None),
    "cancelled": (run("CANCELLED", "Cancelled"), Kind.CANCELLED, None),
    "bad file": (run("FAILED", "BadFile", message="cut"), Kind.QUARANTINED, None),
    "store away": (run("FAILED", "TransientFault"), Kind.FAILED, Retry),
    "timed out": (run("FAILED", "TimedOut"), Kind.FAILED, Retry),
    "store away for long": (run("FAILED", "TransientFault", starts=3), Kind.FAILED, None),
    "mismatch twice": (run("FAILED", "OutputMismatch", starts=2), Kind.FAILED, None),
    "killed": (run("CRASHED", "Crashed"), Kind.CRASHED, Retry),
    "killed too often": (run("CRASHED", "Crashed", starts=3), Kind.CRASHED, None),
    "torn": (torn, Kind.TORN, Retry),
    "torn without a run": (torn_without_a_run, Kind.TORN, OLD),
    "replaced upload": (replaced_upload, Kind.SUPERSEDED, OLD),
    "one output for two": (two_uploads_of_one_output, Kind.CONTESTED, None),
    "output gone": (completed_without_output, Kind.OUTPUT_MISSING, NEW_GENERATION),
    "an object gone": (removed_object, Kind.OUTPUT_DAMAGED, NEW_GENERATION),
    # A batch would skip it, because its manifest is there.
    "an object gone, the run forgotten": (
        removed_object_without_a_run,
        Kind.OUTPUT_DAMAGED,
        Notify(0, is_repair=True, lane=BACKFILL),
    ),
    "manifest spoilt": (unreadable_manifest, Kind.OUTPUT_DAMAGED, NEW_GENERATION),
}


@pytest.mark.parametrize(("plant", "kind", "action"), PLANTED.values(), ids=list(PLANTED))
def test_each_faulty_class_is_found_with_its_remedy(
    world: FakeInbox, plant: Plant, kind: Kind, action: Notify | type[Retry | End] | None
) -> None:
    plant(world)
    found = world.reconcile(later=30)
    (finding,) = [each for key, each in found.items() if ".RAW" not in key]
    assert finding.kind is kind
    if isinstance(action, Notify) or action is None:
        assert finding.action == action
    else:
        assert isinstance(finding.action, action)
        assert finding.action.run_id == finding.run_id
    assert finding.needs_attention == (kind in NEEDS_ATTENTION) == bool(finding.remedy)


def test_a_lost_notification_differs_from_an_older_upload(world: FakeInbox) -> None:
    world.drop(KEY)
    for hours, kind, lane in ((1, Kind.NEVER_NOTIFIED, LIVE), (25, Kind.BACKLOG, BACKFILL)):
        found = world.reconcile(later=hours)[KEY]
        assert (found.kind, found.action) == (kind, Notify(0, lane=lane))


def test_a_new_upload_is_given_time(world: FakeInbox) -> None:
    world.drop(KEY)
    world.drop("a/15.01A", file_head("AZFP"))
    world.run(world.drop("b.raw"), "SCHEDULED", "Scheduled")
    world.run(world.drop("c.raw"), "RUNNING", "Running")
    world.run(world.drop("d.raw"), "PENDING", "Pending", has_task=False)
    kinds = {key: found.kind for key, found in world.reconcile(later=0).items()}
    assert kinds == {
        KEY: Kind.ARRIVING,
        "a/15.01A": Kind.WAITING,
        "b.raw": Kind.QUEUED,
        "c.raw": Kind.RUNNING,
        "d.raw": Kind.QUEUED,
    }


def test_a_run_of_a_backfill_is_not_late_while_it_waits_for_its_lane(world: FakeInbox) -> None:
    for state, kind in (("SCHEDULED", Kind.QUEUED), ("PENDING", Kind.LATE)):
        run = world.run(world.drop(KEY), state, "Late", ago=LONG)
        assert world.reconcile()[KEY].kind is Kind.LATE
        (ident,) = world.runs.runs
        world.runs.runs[ident] = replace(run, lane=BACKFILL)
        assert world.reconcile()[KEY].kind is kind


def test_a_dead_run_is_retried_as_often_as_any_other(world: FakeInbox) -> None:
    source = world.drop(KEY)
    for starts, retry in ((2, True), (3, False)):
        dead = world.run(source, "RUNNING", "Running", starts=starts, has_task=False)
        assert world.reconcile()[KEY].action == End(dead.id, "state", retry)


def test_a_dead_run_that_no_upload_needs_is_only_ended(world: FakeInbox) -> None:
    old = world.run(world.drop(KEY), "RUNNING", "Running", has_task=False)
    whole(world)
    assert world.source(KEY).etag
    world.drop("b.raw", file_head("EK60") + b"older")
    replaced = world.run(world.source("b.raw"), "PENDING", "Pending", has_task=False)
    world.publish(world.drop("b.raw"), "b.zarr", STORE)
    living = world.run(world.source("b.raw"), "RUNNING", "Running", has_task=True)
    now = datetime.now(UTC) + timedelta(hours=1)
    found = list(Reconciliation(world.services, now=now).findings())
    stuck = [each for each in found if each.kind is Kind.STUCK]
    assert {each.run_id: each.action for each in stuck} == {
        run.id: End(run.id, "state", retry=False) for run in (old, replaced)
    }
    assert [each.kind for each in found].count(Kind.DONE) == 2
    assert living.id not in {each.run_id for each in found}


@pytest.mark.parametrize(
    "name", sorted(n for n, failure in FAILURES.items() if not failure.is_retryable)
)
def test_a_permanent_failure_is_not_retried(world: FakeInbox, name: str) -> None:
    run("FAILED", name, message="why")(world)
    finding = world.reconcile()[KEY]
    kind = Kind.QUARANTINED if FAILURES[name].of_the_file else Kind.FAILED
    assert (finding.kind, finding.action) == (kind, None)
    assert finding.detail == f"{name}: why"


def test_repair_generations_are_counted_and_limited(world: FakeInbox) -> None:
    source = world.drop(KEY)
    world.run(source, "COMPLETED", "Completed")
    for generation in range(1, 4):
        assert world.reconcile()[KEY].action == Notify(generation, is_repair=True)
        world.run(source, "COMPLETED", "Completed", generation=generation, is_repair=True)
    finding = world.reconcile()[KEY]
    assert (finding.kind, finding.action) == (Kind.OUTPUT_MISSING, None)
    assert "as many new generations as it may" in finding.detail


def test_forced_generations_do_not_count_as_attempts_of_fix(world: FakeInbox) -> None:
    source = world.drop(KEY)
    for generation in range(9):
        world.run(source, "COMPLETED", "Completed", generation=generation)
    assert world.reconcile()[KEY].action == Notify(9, is_repair=True)
    world.run(source, "RUNNING", "Running", generation=9)
    assert world.reconcile(later=0)[KEY].kind is Kind.RUNNING


def test_the_latest_generation_decides(world: FakeInbox) -> None:
    source = world.drop(KEY)
    world.run(source, "COMPLETED", "Completed")
    world.run(source, "RUNNING", "Running", generation=1)
    assert world.reconcile(later=0)[KEY].kind is Kind.RUNNING


def test_damage_that_a_listing_does_not_show_is_found_by_checksum(world: FakeInbox) -> None:
    whole(world)
    world.run(world.source(KEY), "COMPLETED", "Completed")
    verifying = Scope(verify=True)
    assert world.reconcile(verifying)[KEY].kind is Kind.DONE
    world.s3.put_object(Bucket=world.output, Key=f"{OUTPUT}/Sonar/c/0", Body=b"\1\2\4")
    assert world.reconcile()[KEY].kind is Kind.DONE
    finding = world.reconcile(verifying)[KEY]
    assert (finding.kind, finding.action) == (Kind.OUTPUT_DAMAGED, Notify(1, is_repair=True))
    assert "checksum" in finding.detail


def test_a_netcdf_file_is_one_object_with_its_own_sum(world: FakeInbox) -> None:
    source, body = world.drop("netcdf/a.raw"), b"CDF"
    world.s3.put_object(Bucket=world.output, Key="nc/a.nc", Body=body)
    digest = hashlib.sha256(body).hexdigest()
    world.put_manifest(source, "nc/a.nc", objects=1, size=3, sha256=digest)
    assert world.reconcile(Scope(verify=True))["netcdf/a.raw"].kind is Kind.DONE
    world.s3.delete_object(Bucket=world.output, Key="nc/a.nc")
    world.run(source, "COMPLETED", "Completed")
    for scope in (Scope(), Scope(verify=True)):
        assert world.reconcile(scope)["netcdf/a.raw"].kind is Kind.OUTPUT_DAMAGED


def test_an_output_whose_upload_is_gone_is_reported(world: FakeInbox) -> None:
    whole(world)
    world.s3.delete_object(Bucket=world.inbox, Key=KEY)
    finding = world.reconcile()[OUTPUT]
    assert finding.kind is Kind.OUTPUT_WITHOUT_SOURCE
    assert KEY in finding.detail


def test_an_output_converted_from_elsewhere_is_ignored(world: FakeInbox) -> None:
    source = world.drop(KEY)
    world.publish(replace(source, bucket="archive"), "other.zarr", STORE)
    assert "other.zarr" not in world.reconcile()


def test_an_output_published_while_the_inbox_is_listed_is_not_a_fault(
    world: FakeInbox,
) -> None:
    whole(world)
    world.s3.delete_object(Bucket=world.inbox, Key=KEY)
    assert OUTPUT not in world.reconcile(later=0)


@pytest.mark.parametrize("named", [False, True], ids=["nearest", "named"])
def test_azfp_data_are_done_with_their_own_settings(world: FakeInbox, *, named: bool) -> None:
    world.drop("a/one.XML", b"<one/>")
    metadata = {"sidecar": "two.xml"} if named else {}
    data = world.drop("a/15.01A", file_head("AZFP"), Metadata=metadata)
    if named:
        world.drop("a/two.xml", b"<two/>")
    xml = world.source("a/two.xml" if named else "a/one.XML")
    world.run(data, "COMPLETED", "Completed")
    world.publish(data, "a/15.01A.zarr", STORE, sidecars={xml.uri: xml.etag})
    assert world.reconcile()["a/15.01A"].kind is Kind.DONE
    world.drop(xml.key, b"<corrected/>")
    finding = world.reconcile()["a/15.01A"]
    assert (finding.kind, finding.action) == (Kind.SUPERSEDED, Notify(0))


def test_a_task_that_never_started_counts_as_a_start(world: FakeInbox) -> None:
    crashed = world.run(world.drop(KEY), "CRASHED", "Crashed", message="no such image", starts=0)
    for _ in range(2):
        assert world.reconcile()[KEY].action == Retry(crashed.id, "state")
        world.runs.retried.append(crashed.id)
    finding = world.reconcile()[KEY]
    assert (finding.kind, finding.action) == (Kind.CRASHED, None)
    assert finding.detail == "Crashed: no such image (started 3 times)"


def test_a_batch_that_died_after_its_last_file_is_ended(world: FakeInbox) -> None:
    whole(world)
    run = world.run(world.source(KEY), "COMPLETED", "Completed")
    # All its files are done, but Prefect does not know that the batch is.
    dead = replace(run, id="batch", in_batch=True, state_type="RUNNING", state_name="Running")
    world.runs.others, world.tasks.there["batch"] = [dead], False
    now = datetime.now(UTC) + timedelta(hours=1)
    done, stuck = Reconciliation(world.services, now=now).findings()
    assert (done.kind, stuck.kind) == (Kind.DONE, Kind.STUCK)
    assert stuck.action == End("batch", "state", retry=False)


def test_archive_uploads_with_a_run_or_an_output_are_checked(archive: FakeInbox) -> None:
    """Other objects of an archive are ignored; the rest is classed like an upload."""
    for name in ("never asked", "done", "crashed", "bad", "dead", "torn", "lost object", "gone"):
        archive.put_into_archive(f"{name}.raw")
    folder = archive.archive
    for name in ("done", "lost object", "gone"):
        source = archive.source(f"{name}.raw", folder)
        archive.publish(source, f"{folder}/{name}.zarr", STORE)
        archive.run(source, "COMPLETED", "Completed")
    archive.s3.delete_object(Bucket=archive.output, Key=f"{folder}/lost object.zarr/Sonar/c/0")
    archive.s3.delete_object(Bucket=folder, Key="gone.raw")
    # Prefect has deleted its run.
    archive.put_into_archive("forgotten.raw")
    forgotten = archive.source("forgotten.raw", folder)
    report_of(archive, forgotten.uri, f"{folder}/forgotten.zarr", forgotten.etag)
    archive.s3.put_object(Bucket=archive.output, Key=f"{folder}/torn.zarr/Sonar/c/0", Body=b"\1")
    for name, state, state_name in (
        ("crashed", "CRASHED", "Crashed"),
        ("torn", "CRASHED", "Crashed"),
        ("bad", "FAILED", "BadFile"),
    ):
        archive.run(archive.source(f"{name}.raw", folder), state, state_name)
    archive.run(archive.source("dead.raw", folder), "RUNNING", "Running", has_task=False)
    assert {key: each.kind for key, each in archive.reconcile().items()} == {
        "done.raw": Kind.DONE,
        "crashed.raw": Kind.CRASHED,
        "bad.raw": Kind.QUARANTINED,
        "dead.raw": Kind.STUCK,
        "torn.raw": Kind.TORN,
        "lost object.raw": Kind.OUTPUT_DAMAGED,
        "forgotten.raw": Kind.QUARANTINED,
        f"{folder}/gone.zarr": Kind.OUTPUT_WITHOUT_SOURCE,
    }
    assert set(archive.reconcile(Scope(prefix="cr"))) == {"crashed.raw"}
    assert set(archive.reconcile(Scope(prefix="do"))) == {"done.raw"}


def report_of(world: FakeInbox, upload: str, output: str, etag: str = "") -> None:
    report = {
        "source": {"uri": upload, "etag": etag, "version_id": None},
        "outcome": "BadFile",
        "message": "cut off",
    }
    body = json.dumps(report).encode()
    world.s3.put_object(Bucket=world.output, Key=f"{output}.failure.json", Body=body)


def test_an_upload_stays_quarantined_after_prefect_deletes_its_run(
    world: FakeInbox,
) -> None:
    bad = world.drop(KEY)
    report_of(world, bad.uri, OUTPUT, bad.etag)
    finding = world.reconcile()[KEY]
    assert (finding.kind, finding.action) == (Kind.QUARANTINED, None)
    assert finding.detail == "BadFile: cut off"
    # A corrected upload is another version, and not quarantined.
    world.drop(KEY, file_head("EK60") + b"whole")
    assert world.reconcile()[KEY].kind is Kind.NEVER_NOTIFIED


def test_a_failure_report_whose_upload_is_gone_is_reported(world: FakeInbox) -> None:
    # The file was corrected under another key, so nothing deletes the report.
    report_of(world, f"s3://{world.inbox}/{KEY}", OUTPUT)
    report_of(world, "s3://elsewhere/by hand.raw", "by hand.zarr")
    world.run(world.drop("bad.raw"), "FAILED", "BadFile")
    report_of(world, f"s3://{world.inbox}/bad.raw", "bad.zarr")
    found = world.reconcile()
    assert {key: each.kind for key, each in found.items()} == {
        OUTPUT: Kind.OUTPUT_WITHOUT_SOURCE,
        "bad.raw": Kind.QUARANTINED,
    }
    assert found[OUTPUT].detail == f"the failure report of s3://{world.inbox}/{KEY}, which is gone"


def test_a_prefix_limits_the_check(world: FakeInbox) -> None:
    for key in ("a/1.raw", "b/2.raw"):
        world.publish(world.drop(key), key.replace(".raw", ".zarr"), STORE)
    world.publish(world.drop("b/3.raw"), "b/3.zarr", STORE)
    world.s3.delete_object(Bucket=world.inbox, Key="b/3.raw")
    assert set(world.reconcile(Scope(prefix="a/"))) == {"a/1.raw"}
    assert set(world.reconcile(Scope(prefix="b/"))) == {"b/2.raw", "b/3.zarr"}


def test_recent_uploads_are_checked_without_listing_all_outputs(world: FakeInbox) -> None:
    whole(world)
    world.drop("lost.raw")
    modified = world.source(KEY).modified
    found = world.reconcile(Scope(since=modified - timedelta(minutes=1)))
    assert {key: each.kind for key, each in found.items()} == {
        KEY: Kind.DONE,
        "lost.raw": Kind.NEVER_NOTIFIED,
    }
    assert world.reconcile(Scope(since=modified + timedelta(minutes=1))) == {}


@pytest.mark.slow
def test_runs_are_requested_in_pages_that_prefect_accepts(world: FakeInbox) -> None:
    for number in range(120):
        world.drop(f"{number}.raw", file_head("EK60"))
    found = world.reconcile()
    assert {each.kind for each in found.values()} == {Kind.NEVER_NOTIFIED}
    assert world.runs.asked == [200, 200, 80]


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
def test_products_beside_an_output_are_neither_strangers_nor_damage(
    world: FakeInbox, suffix: str
) -> None:
    if suffix == ".zarr":
        whole(world)
        output, upload = OUTPUT, KEY
    else:
        upload, output = "netcdf/a.raw", "nc/a.nc"
        body = b"CDF"
        world.s3.put_object(Bucket=world.output, Key=output, Body=body)
        sha256 = hashlib.sha256(body).hexdigest()
        world.put_manifest(world.drop(upload), output, objects=1, size=len(body), sha256=sha256)
    make_products(world, output)
    # Read whole, listed, and looked at alone, as a forced replay does.
    for scope in (Scope(verify=True), Scope()):
        (finding,) = world.reconcile(scope).values()
        assert (finding.kind, finding.detail, finding.note) == (Kind.DONE, "", "")
    facts = output_now(world.s3, world.output, output)
    assert facts.manifest is not None
    assert (facts.objects, facts.bytes) == (facts.manifest.objects, facts.manifest.bytes)
    world.s3.delete_object(Bucket=world.inbox, Key=upload)
    (alone,) = world.reconcile().values()
    assert (alone.kind, alone.uri) == (Kind.OUTPUT_WITHOUT_SOURCE, f"s3://{world.output}/{output}")


def test_an_output_without_current_products_is_a_note_and_no_fault(
    world: FakeInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(world)

    def notes() -> list[str]:
        return [each.note for each in world.reconcile().values() if not each.needs_attention]

    assert notes() == [""]
    monkeypatch.setenv("ECHODROP_PRODUCTS", "on")
    assert notes() == [WITHOUT_PRODUCTS]
    make_products(world, OUTPUT)
    assert notes() == [""]


def test_what_was_made_from_an_output_that_is_gone_is_reported(world: FakeInbox) -> None:
    make_products(world, "old.zarr")
    (finding,) = world.reconcile().values()
    assert finding.kind is Kind.OUTPUT_WITHOUT_SOURCE
    assert finding.uri == f"s3://{world.output}/old.zarr"
    assert "gone" in finding.detail


def make_products(world: FakeInbox, output: str) -> None:
    for end in (".echogram.png", ".thumbnail.png", ".echogram.zarr/zarr.json", ".products.json"):
        world.s3.put_object(Bucket=world.output, Key=output + end, Body=b"{}")
    world.s3.put_object(Bucket=world.output, Key=f"{output}.echogram.zarr/0/Sv/c/0/0", Body=b"1")

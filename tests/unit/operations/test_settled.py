"""Settled uploads cost the next run no request, and their later faults are still found."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.core.locations import S3Location
from operations.findings.classification import ClassificationLimits
from operations.findings.findings import Kind, UploadFinding
from operations.inventory.archive_items import newest_inventory
from operations.inventory.upload_inspection import READ_AN_HOUR, Scope
from operations.reconcile.reconciliation import Reconciliation
from operations.reconcile.settled import Settled, SettledUnreadableError, load_settled, mark_of
from tests.file_heads import file_head
from tests.unit.operations.conftest import FakeInbox

STORE = {"zarr.json": b"{}", "Sonar/zarr.json": b"{}", "Sonar/c/0": b"\1\2\3"}
INVENTORY = ".echodrop/inventory/"
NOW = datetime.now(UTC)


class Counting:
    """S3, with the requests that were sent."""

    def __init__(self, s3: Any) -> None:
        self.asked: list[str] = []
        self._s3 = s3
        s3.meta.events.register("before-send.s3", self._note)

    def _note(self, request: Any, **_: Any) -> None:
        self.asked.append(f"{request.method} {request.url.partition('?')[0].rpartition('/')[2]}")

    def stop(self) -> list[str]:
        self._s3.meta.events.unregister("before-send.s3", self._note)
        return self.asked


def place(world: FakeInbox) -> S3Location:
    return S3Location(world.output, ".echodrop/reconcile/")


def look(world: FakeInbox, *, whole: bool = False, scope: Scope | None = None, later: float = 1, inventory: bool = False) -> dict[str, UploadFinding]:  # fmt: skip
    """Reconcile as the flow does, with the marks of the run before; return findings by key."""
    settled = None if whole else load_settled(world.s3, place(world))
    settled = settled or Settled(datetime.now(UTC))
    now = datetime.now(UTC) + timedelta(hours=later)
    report = newest_inventory(world.s3, world.output, INVENTORY, now) if inventory else None
    reconciliation = Reconciliation(
        *(world.services, scope or Scope(), ClassificationLimits(), now),
        settled=settled,
        inventory_of_outputs=report,
    )
    found = {each.uri.split("/", 3)[3]: each for each in reconciliation.findings()}
    settled.save(world.s3, place(world), datetime.now(UTC))
    return found


def kinds(found: dict[str, UploadFinding]) -> dict[str, str]:
    return {key: finding.kind.value for key, finding in found.items()}


def published(world: FakeInbox, *keys: str) -> None:
    for key in keys:
        world.publish(world.drop(key), key.replace(".raw", ".zarr"), STORE)


def test_the_hourly_run_skips_settled_uploads_and_finds_new_ones(
    world: FakeInbox,
) -> None:
    published(world, *(f"old/{number}.raw" for number in range(20)))
    assert set(kinds(look(world, whole=True)).values()) == {"done"}
    world.drop("lost.raw")
    published(world, "new.raw")
    counted = Counting(world.s3)
    found = look(world)
    asked = counted.stop()
    assert kinds(found) == {
        **{f"old/{number}.raw": "done" for number in range(20)},
        "lost.raw": "never notified",
        "new.raw": "done",
    }
    assert not [each for each in asked if "old" in each]
    # Loaded marks, the inbox, manifest and objects of both new ones (twice for the lost one:
    # the inspection reads them again), its report, and the stored marks.
    assert len(asked) <= 12
    # Now the new one is settled, too, and nothing has changed.
    counted = Counting(world.s3)
    look(world)
    assert not [each for each in counted.stop() if each.startswith("PUT") or "new" in each]


LATER: dict[str, tuple[Callable[[FakeInbox], object], str]] = {
    "the upload replaced": (
        lambda world: world.drop("a.raw", file_head("EK60") + b"newer"),
        "superseded",
    ),
    "another upload of its output": (lambda world: world.drop("a.RAW"), "contested"),
    "its output mapped elsewhere": (
        lambda world: setattr(
            world.services.decisions,
            "rules",
            replace(
                world.services.rules,
                prefixes=tuple(
                    replace(each, output_prefix="v2/") for each in world.services.rules.prefixes
                ),
            ),
        ),
        "never notified",
    ),
}


@pytest.mark.parametrize(("change", "kind"), LATER.values(), ids=list(LATER))
def test_the_hourly_run_finds_changes_of_a_settled_upload(
    world: FakeInbox, change: Callable[[FakeInbox], object], kind: str
) -> None:
    published(world, "a.raw")
    look(world, whole=True)
    change(world)
    assert kind in kinds(look(world)).values()


def test_the_hourly_run_finds_changed_settings(world: FakeInbox) -> None:
    xml = world.drop("a/settings.XML", b"<AZFP_Profile/>")
    source = world.drop("a/15.01A", file_head("AZFP"))
    world.publish(source, "a/15.01A.zarr", STORE, sidecars={xml.uri: xml.etag})
    assert look(world, whole=True)["a/15.01A"].kind is Kind.DONE
    assert look(world)["a/15.01A"].kind is Kind.DONE
    world.drop("a/settings.XML", b"<AZFP_Profile></AZFP_Profile>")
    assert look(world)["a/15.01A"].kind is Kind.SUPERSEDED


DAMAGE: dict[str, tuple[Callable[[FakeInbox], object], str]] = {
    "an object gone": (
        lambda world: world.s3.delete_object(Bucket=world.output, Key="a.zarr/Sonar/c/0"),
        "output damaged",
    ),
    "the manifest gone": (
        lambda world: world.s3.delete_object(Bucket=world.output, Key="a.zarr.manifest.json"),
        "torn",
    ),
    "all of it gone": (
        lambda world: [
            world.s3.delete_object(Bucket=world.output, Key=f"a.zarr{each}")
            for each in (".manifest.json", *(f"/{key}" for key in STORE))
        ],
        "output missing",
    ),
}


@pytest.mark.parametrize("inventory", [False, True])
@pytest.mark.parametrize(("damage", "kind"), DAMAGE.values(), ids=list(DAMAGE))
def test_changes_of_a_settled_output_are_found_by_the_check_of_everything_and_afterwards(
    world: FakeInbox, damage: Callable[[FakeInbox], object], kind: str, *, inventory: bool
) -> None:
    published(world, "a.raw", "b.raw")
    world.run(world.source("a.raw"), "COMPLETED", "Completed")
    look(world, whole=True)
    damage(world)
    assert set(kinds(look(world)).values()) == {"done"}
    if inventory:
        deliver_inventory(world)
    wanted = {"a.raw": kind, "b.raw": "done"}
    assert kinds(look(world, whole=True, inventory=inventory)) == wanted
    # A faulty output is no longer settled: each hourly run checks it until it is fixed.
    assert kinds(look(world)) == wanted
    published(world, "a.raw")
    assert set(kinds(look(world)).values()) == {"done"}


def test_the_hourly_run_finds_an_output_that_a_later_run_left_incomplete(world: FakeInbox) -> None:
    published(world, "a.raw", "b.raw")
    look(world, whole=True)
    # A forced run: it deleted the manifest first, and died.
    world.run(world.source("a.raw"), "RUNNING", "Running", generation=1, has_task=True)
    assert set(kinds(look(world)).values()) == {"done"}
    world.s3.delete_object(Bucket=world.output, Key="a.zarr.manifest.json")
    world.run(world.source("a.raw"), "CRASHED", "Crashed", generation=1, ago=timedelta())
    for _ in range(2):
        assert kinds(look(world)) == {"a.raw": "torn", "b.raw": "done"}


def test_the_check_of_everything_finds_an_output_without_an_upload(world: FakeInbox) -> None:
    published(world, "a.raw", "b.raw")
    look(world, whole=True)
    world.s3.delete_object(Bucket=world.inbox, Key="a.raw")
    assert kinds(look(world)) == {"b.raw": "done"}
    assert kinds(look(world, whole=True)) == {"b.raw": "done", "a.zarr": "output without source"}


def test_a_settled_output_is_read_in_full_in_its_hour(world: FakeInbox) -> None:
    published(world, "a.raw")
    world.run(world.source("a.raw"), "COMPLETED", "Completed")
    look(world, whole=True)
    world.s3.put_object(Bucket=world.output, Key="a.zarr/Sonar/c/0", Body=b"\1\2\4")
    scope = Scope(verify_days=1)
    found = [look(world, scope=scope, later=hour)["a.raw"].kind for hour in range(1, 26)]
    assert Kind.OUTPUT_DAMAGED in found


def test_the_cost_of_reading_does_not_grow_with_the_outputs() -> None:
    for number in (1_000, 100_000, 1_000_000):
        scope = Scope(verify_days=28, outputs=number)
        read = sum(scope.reads(f"cruise/{each}.zarr", NOW) for each in range(number))
        assert read <= 1.25 * READ_AN_HOUR
    hours = {Scope(verify_days=28, outputs=each) for each in range(200_000, 200_050)}
    assert len({each.reads("a.zarr", NOW) for each in hours}) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[:-1],
        lambda body: body[:-16],
        lambda body: body.replace(b'"version": 1', b'"version": 9'),
        lambda _: b"",
        lambda body: body + body[-16:],
    ],
)
def test_marks_that_are_cut_or_of_another_version_are_refused(
    world: FakeInbox, spoil: Callable[[bytes], bytes]
) -> None:
    published(world, "a.raw", "b.raw")
    look(world, whole=True)
    key = f"{place(world).key}settled"
    body = world.s3.get_object(Bucket=world.output, Key=key)["Body"].read()
    world.s3.put_object(Bucket=world.output, Key=key, Body=spoil(body))
    with pytest.raises(SettledUnreadableError, match="settled"):
        load_settled(world.s3, place(world))


def test_an_hourly_run_does_not_restore_marks_of_damaged_outputs(
    world: FakeInbox,
) -> None:
    published(world, "a.raw")
    look(world, whole=True)
    hourly = load_settled(world.s3, place(world))
    assert hourly is not None
    assert hourly.knows(mark_of(world.source("a.raw"), "a.zarr"))
    hourly.keep(b"of another upload")
    whole = Settled(datetime.now(UTC))
    whole.save(world.s3, place(world), datetime.now(UTC))
    assert not hourly.save(world.s3, place(world), datetime.now(UTC))
    kept = load_settled(world.s3, place(world))
    assert kept is not None
    assert kept.known == frozenset()


def deliver_inventory(world: FakeInbox, **fields: Any) -> None:
    """Store an inventory of the output bucket, as S3 would."""
    rows = []
    for page in world.s3.get_paginator("list_objects_v2").paginate(Bucket=world.output):
        rows += [f'"{world.output}","{item["Key"]}","{item["Size"]}"' for item in page["Contents"]]
    data = f"{INVENTORY}{world.output}/all/data/1.csv.gz"
    body = gzip.compress("".join(f"{row}\n" for row in rows).encode())
    world.s3.put_object(Bucket=world.output, Key=data, Body=body)
    manifest = {
        "sourceBucket": world.output,
        "destinationBucket": f"arn:aws:s3:::{world.output}",
        "creationTimestamp": str(int(NOW.timestamp() * 1000)),
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": data, "size": len(body), "MD5checksum": ""}],
        **fields,
    }
    world.s3.put_object(
        Bucket=world.output,
        Key=f"{INVENTORY}{world.output}/all/2026-01-01T00-00Z/manifest.json",
        Body=json.dumps(manifest),
    )


def test_a_run_with_an_inventory_lists_no_outputs_and_ignores_its_outdated_rows(
    world: FakeInbox,
) -> None:
    published(world, "a.raw", "b.raw")
    deliver_inventory(world)
    # Since then one upload was added, and one was deleted with its output.
    published(world, "c.raw")
    for key in ("b.zarr.manifest.json", *(f"b.zarr/{each}" for each in STORE)):
        world.s3.delete_object(Bucket=world.output, Key=key)
    world.s3.delete_object(Bucket=world.inbox, Key="b.raw")
    assert kinds(look(world, whole=True, inventory=True)) == {"a.raw": "done", "c.raw": "done"}


@pytest.mark.parametrize(
    "fields",
    [
        {"sourceBucket": "another"},
        {"fileFormat": "Parquet"},
        {"fileSchema": "Bucket, Key"},
        {"creationTimestamp": str(int((NOW - timedelta(days=9)).timestamp() * 1000))},
        {"creationTimestamp": "yesterday"},
    ],
)
def test_an_inventory_that_can_not_replace_a_listing_is_not_used(
    world: FakeInbox, fields: dict[str, str]
) -> None:
    published(world, "a.raw")
    assert newest_inventory(world.s3, world.output, INVENTORY, NOW) is None
    deliver_inventory(world, **fields)
    assert newest_inventory(world.s3, world.output, INVENTORY, NOW) is None
    deliver_inventory(world)
    assert newest_inventory(world.s3, world.output, INVENTORY, NOW) is not None

"""Archives are read from a listing, an inventory or a list, starting at any place."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from operations.inventory.archive_items import Archive, ArchiveError, ArchiveItem, archive_at
from tests.unit.operations.conftest import FakeInbox

KEYS = ["a/1.raw", "a/ä b+%.raw", "b/2.raw", "b/z.raw"]


def at(world: FakeInbox, named: str) -> Archive:
    return archive_at(named, world.s3, world.inbox)


def keys(items: list[ArchiveItem]) -> list[tuple[str, str]]:
    return [(item.bucket, item.key) for item in items]


def inventory(world: FakeInbox, rows: list[str], **fields: Any) -> str:
    """Store an S3 inventory of two files; return the URI of its manifest."""
    schema = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag"
    half = len(rows) // 2
    files = []
    for number, lines in enumerate((rows[:half], rows[half:])):
        key = f"inventory/data/{number}.csv.gz"
        body = gzip.compress("".join(f"{line}\n" for line in lines).encode())
        world.s3.put_object(Bucket=world.output, Key=key, Body=body)
        files.append({"key": key, "size": len(body), "MD5checksum": ""})
    manifest = {
        "sourceBucket": "archive",
        "destinationBucket": f"arn:aws:s3:::{world.output}",
        "fileFormat": "CSV",
        "fileSchema": schema,
        "files": files,
        **fields,
    }
    key = "inventory/2026-01-01T00-00Z/manifest.json"
    world.s3.put_object(Bucket=world.output, Key=key, Body=json.dumps(manifest))
    return f"s3://{world.output}/{key}"


ROWS = [
    '"archive","a/1.raw","v1","true","false","7","e1"',
    '"archive","a/%C3%A4+b%2B%25.raw","v2","true","false","8","e2"',
    '"archive","a/old.raw","v0","false","false","7","e0"',
    '"archive","b/gone.raw","v3","true","true","",""',
    '"archive","b/2.raw","v4","true","false","9","e4"',
    '"archive","b/z.raw","v5","true","false","10","e5"',
]


@pytest.fixture
def archives(world: FakeInbox, tmp_path: Path) -> dict[str, tuple[Archive, str]]:
    """Each format with the same four objects, and their bucket."""
    for key in KEYS:
        world.drop(key, key.encode())
    text = "\n".join(["a/1.raw", f"s3://{world.inbox}/a/ä b+%.raw", "", "b/2.raw", "b/z.raw\r"])
    (tmp_path / "keys.txt").write_text(text)
    (tmp_path / "keys.txt.gz").write_bytes(gzip.compress(text.encode()))
    lines = ["Size,Key,ETag", *(f'5,"{key}",tag' for key in KEYS)]
    (tmp_path / "named.csv").write_text("\n".join(lines))
    (tmp_path / "rows.csv.gz").write_bytes(
        gzip.compress(
            "\n".join(row for row in ROWS if "old" not in row and "gone" not in row).encode()
        )
    )
    world.s3.put_object(Bucket=world.output, Key="lists/keys.txt", Body=text.encode())
    local = {
        name: at(world, str(tmp_path / name)) for name in ("keys.txt", "keys.txt.gz", "named.csv")
    }
    return {
        **{name: (archive, world.inbox) for name, archive in local.items()},
        "rows.csv.gz": (at(world, str(tmp_path / "rows.csv.gz")), "archive"),
        "listing": (at(world, f"s3://{world.inbox}/"), world.inbox),
        "list in S3": (at(world, f"s3://{world.output}/lists/keys.txt"), world.inbox),
        "inventory": (at(world, inventory(world, ROWS)), "archive"),
    }


def test_each_format_lists_the_same_objects_and_resumes_after_any_of_them(
    archives: dict[str, tuple[Archive, str]],
) -> None:
    for name, (archive, bucket) in archives.items():
        found = list(archive.items())
        assert keys(found) == [(bucket, key) for key in KEYS], name
        for number, item in enumerate(found, start=1):
            assert list(archive.items(item.place)) == found[number:], name


def test_known_sizes_and_entity_tags_are_kept(
    archives: dict[str, tuple[Archive, str]],
) -> None:
    fields = {name: next(archive.items()) for name, (archive, _) in archives.items()}
    assert (fields["inventory"].size, fields["inventory"].etag) == (7, "e1")
    assert (fields["named.csv"].size, fields["named.csv"].etag) == (5, "tag")
    assert (fields["keys.txt"].size, fields["keys.txt"].etag) == (None, None)
    assert fields["listing"].size == len(KEYS[0])


def test_a_prefix_is_listed_alone(world: FakeInbox) -> None:
    for key in KEYS:
        world.drop(key)
    found = list(at(world, f"s3://{world.inbox}/b/").items())
    assert [item.key for item in found] == ["b/2.raw", "b/z.raw"]


def test_an_invalid_archive_is_named(world: FakeInbox, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"keys\.parquet: a list of keys ends in \.txt"):
        at(world, "keys.parquet")
    with pytest.raises(ArchiveError, match="s3:"):
        at(world, "s3://")
    orc = at(world, inventory(world, ROWS, fileFormat="ORC"))
    with pytest.raises(ArchiveError, match="the inventory is ORC, only CSV is supported"):
        list(orc.items())
    world.s3.put_object(Bucket=world.output, Key="x/manifest.json", Body=b"[]")
    with pytest.raises(ArchiveError, match="not the manifest of an S3 inventory"):
        list(at(world, f"s3://{world.output}/x/manifest.json").items())


@pytest.mark.parametrize("name", ["cut.csv.gz", "noise.txt.gz", "noise.txt"])
def test_a_damaged_list_is_refused(world: FakeInbox, tmp_path: Path, name: str) -> None:
    whole = gzip.compress("\n".join(f"archive,{number}.raw" for number in range(5000)).encode())
    noise = random.Random(1).randbytes(1000)
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if "cut" in name else noise)
    with pytest.raises(ArchiveError, match=name):
        list(at(world, str(tmp_path / name)).items())


def test_the_content_differs_if_places_would_differ(world: FakeInbox, tmp_path: Path) -> None:
    def of(named: str) -> str:
        return at(world, named).content()

    local, there = tmp_path / "keys.txt", f"s3://{world.output}/keys.txt"
    contents = []
    for text in ("a.raw\n", "b.raw\n"):
        local.write_text(text)
        world.s3.put_object(Bucket=world.output, Key="keys.txt", Body=text)
        assert of(str(local)) == of(there)
        contents.append(of(there))
    contents += [of(inventory(world, ROWS)), of(inventory(world, ROWS[:4]))]
    assert len(set(contents)) == 4
    # A key is a valid place in any listing.
    assert of(f"s3://{world.inbox}/") == ""

"""The join of two listings has the same result as with dictionaries."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operations.findings.findings import Source
from operations.inventory.inventory import Inventory, part_of_output

WHEN = datetime(2026, 1, 1, tzinfo=UTC)

# Names whose order changes with their suffix, and folders that look like outputs.
STEMS = st.text(alphabet="a.-/ é2", min_size=1, max_size=4)
PARTS = st.sampled_from(
    [
        *(".zarr/zarr.json", ".zarr/a/c/0", ".zarr.manifest.json", ".nc", ".nc.manifest.json"),
        # What is made from an output is not counted as a part of it.
        *(".zarr.echogram.zarr/0/c/0", ".nc.echogram.zarr/zarr.json", ".zarr.thumbnail.png"),
        *(".zarr.echogram.png", ".nc.products.json"),
    ]
)


@example(uploads=[("a", ".nc")], stored={"a.nc": 1, "a.nc.b.nc": 2, "a.nc.manifest.json": 3})
@given(
    uploads=st.lists(st.tuples(STEMS, st.sampled_from([".zarr", ".nc"])), unique=True),
    stored=st.dictionaries(st.tuples(STEMS, PARTS).map("".join), st.integers(0, 9)),
)
def test_uploads_and_outputs_are_joined_in_any_order(
    uploads: list[tuple[str, str]], stored: dict[str, int]
) -> None:
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for key, size in stored.items():
        part = part_of_output(key)
        assert part is not None
        row = counted[part[0]]
        if part[1] == "manifest":
            row[2] = 1
        elif part[1] == "object":
            row[0] += 1
            row[1] += size
    wanted = {stem + suffix: f"{stem}{suffix}.raw" for stem, suffix in uploads}
    with Inventory() as inventory:
        inventory.add_sources(
            (output, Source("inbox", key, 1, "e", WHEN)) for output, key in wanted.items()
        )
        # S3 lists in the order of UTF-8 bytes.
        inventory.add_outputs(
            (key, stored[key], WHEN) for key in sorted(stored, key=lambda key: key.encode())
        )
        assert inventory.source_count() == len(wanted)
        joined = [
            (source.key, found.output, [found.objects, found.bytes, int(found.has_manifest)])
            for source, found in inventory.sources()
        ]
        alone = {
            found.output: [found.objects, found.bytes, int(found.has_manifest)]
            for found in inventory.outputs_without_source()
        }
    nothing = [0, 0, 0]
    assert joined == [(key, output, counted.get(output, nothing)) for output, key in wanted.items()]
    assert alone == {output: row for output, row in counted.items() if output not in wanted}


@pytest.mark.parametrize(
    ("key", "output", "part"),
    [
        ("a/b.zarr/zarr.json", "a/b.zarr", "object"),
        ("a/b.zarr/x.zarr/c/0", "a/b.zarr", "object"),
        ("15.01A.zarr.manifest.json", "15.01A.zarr", "manifest"),
        ("a.nc.claim.json", "a.nc", "claim"),
        ("a.zarr.failure.json", "a.zarr", "failure"),
        ("cruise.nc/b.nc", "cruise.nc/b.nc", "object"),
        ("a/b.zarr.echogram.png", "a/b.zarr", "picture"),
        ("a/b.nc.thumbnail.png", "a/b.nc", "product"),
        ("a/b.zarr.products.json", "a/b.zarr", "products"),
        ("a/b.zarr.echogram.zarr/zarr.json", "a/b.zarr", "product"),
        ("a/b.nc.echogram.zarr/0/Sv/c/0/0", "a/b.nc", "product"),
        ("echogram.zarr/zarr.json", "echogram.zarr", "object"),
        ("a\nb.zarr/zarr.json", "a\nb.zarr", "object"),
    ],
)
def test_a_key_names_its_output(key: str, output: str, part: str) -> None:
    assert part_of_output(key) == (output, part)


@pytest.mark.parametrize("key", ["notes.txt", "cruise.nc/readme", "a.manifest.json", "zarr"])
def test_a_key_that_is_not_part_of_an_output_is_ignored(key: str) -> None:
    assert part_of_output(key) is None


@pytest.mark.parametrize(
    ("published", "made", "current"),
    [
        (WHEN, WHEN + timedelta(seconds=1), True),
        # S3's times have whole seconds.
        (WHEN, WHEN, True),
        (WHEN, WHEN - timedelta(seconds=1), False),
        (WHEN, None, False),
    ],
)
def test_products_are_current_if_their_record_is_not_older_than_the_manifest(
    published: datetime, made: datetime | None, *, current: bool
) -> None:
    listing = [
        ("a.zarr.echogram.png", 9, made),
        ("a.zarr.manifest.json", 1, published),
        *([("a.zarr.products.json", 1, made)] if made else []),
        ("a.zarr/zarr.json", 2, published),
    ]
    with Inventory() as inventory:
        inventory.add_outputs(listing)
        (found,) = inventory.outputs_without_source()
    assert (found.objects, found.bytes, found.has_products) == (1, 2, True)
    assert found.modified == published.isoformat()
    assert found.products_are_current is current
    # A picture that failed leaves only the record.
    with Inventory() as inventory:
        inventory.add_outputs(listing[1:])
        (found,) = inventory.outputs_without_source()
    assert not found.products_are_current


def test_a_listing_without_times_shows_only_whether_there_are_products() -> None:
    with Inventory() as inventory:
        inventory.add_outputs(
            (name, 1, None)
            for name in (
                "a.zarr.echogram.png",
                "a.zarr.manifest.json",
                "a.zarr.products.json",
                "b.zarr.manifest.json",
            )
        )
        found = {
            each.output: each.products_are_current for each in inventory.outputs_without_source()
        }
    assert found == {"a.zarr": True, "b.zarr": False}

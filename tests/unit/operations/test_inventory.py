"""The join of two listings has the same result as with dictionaries."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operations.findings.findings import Source
from operations.inventory.inventory import Inventory, part_of_output

WHEN = datetime(2026, 1, 1, tzinfo=UTC)

# Names whose order changes with their suffix, and folders that look like outputs.
STEMS = st.text(alphabet="a.-/ é2", min_size=1, max_size=4)
PARTS = st.sampled_from(
    [".zarr/zarr.json", ".zarr/a/c/0", ".zarr.manifest.json", ".nc", ".nc.manifest.json"]
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
        else:
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
        ("a\nb.zarr/zarr.json", "a\nb.zarr", "object"),
    ],
)
def test_a_key_names_its_output(key: str, output: str, part: str) -> None:
    assert part_of_output(key) == (output, part)


@pytest.mark.parametrize("key", ["notes.txt", "cruise.nc/readme", "a.manifest.json", "zarr"])
def test_a_key_that_is_not_part_of_an_output_is_ignored(key: str) -> None:
    assert part_of_output(key) is None

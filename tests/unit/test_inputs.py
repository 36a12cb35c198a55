"""What the arguments of `echodrop convert` mean: files, their outputs, and how many at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echodrop import inputs
from echodrop.conversions import processes_for
from echodrop.inputs import find_inputs
from flows.core.outcomes import InvalidParameters
from flows.runs.task_resources import TaskResources


class Listing:
    """An S3 client that lists these keys and sizes."""

    def __init__(self, **keys: int) -> None:
        self.keys = keys

    def get_paginator(self, _name: str) -> Listing:
        return self

    def paginate(self, **_asked: str) -> list[dict[str, Any]]:
        items = [{"Key": key, "Size": size, "ETag": '"of-it"'} for key, size in self.keys.items()]
        return [{"Contents": items}]


def listed(monkeypatch: pytest.MonkeyPatch, **keys: int) -> None:
    monkeypatch.setattr(inputs, "s3_client", lambda _options: Listing(**keys))


@pytest.mark.parametrize("key", ["in/../../evil.raw", "in/./a.raw", "in//../a.raw"])
def test_a_key_does_not_lead_out_of_the_folder_of_the_outputs(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    listed(monkeypatch, **{"in/a..b/..c/fine.raw": 1})
    (fine,), _ = find_inputs(["s3://b/in/"], "out", "zarr", {})
    assert fine.out == "out/a..b/..c/"
    listed(monkeypatch, **{"in/fine.raw": 1, key: 1})
    with pytest.raises(InvalidParameters, match=f"s3://b/{key}"):
        find_inputs(["s3://b/in/"], "out", "zarr", {})


def test_the_size_of_remote_files_limits_how_many_are_converted_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = TaskResources(processors=8, memory=16 * 10**9)
    monkeypatch.setattr("echodrop.conversions.task_resources", lambda: many)

    def at_once(*raws: str) -> int:
        return processes_for(find_inputs(raws, "out", "zarr", {})[0])

    listed(monkeypatch, **{f"{n}.raw": 10**6 for n in range(8)})
    assert at_once("s3://b/") == 8
    listed(monkeypatch, **{f"{n}.raw": 4 * 10**9 for n in range(8)})
    assert at_once("s3://b/") < 4
    # Without a listing a size is unknown.
    assert at_once("s3://b/1.raw", "s3://b/2.raw") == 1


def test_outputs_that_differ_only_in_case_are_refused_on_a_disk(tmp_path: Path) -> None:
    for name in ("a.raw", "A.raw"):
        (tmp_path / name).write_bytes(b"1")
    assert len(find_inputs([f"{tmp_path}/"], "s3://b/out", "zarr", {})[0]) == 2
    with pytest.raises(InvalidParameters, match=r"A\.raw and .*a\.raw"):
        find_inputs([f"{tmp_path}/"], str(tmp_path / "out"), "zarr", {})


def test_a_signed_url_is_requested_as_it_is_and_shown_without_its_signature() -> None:
    urls = [f"https://h/{name}.raw?X-Amz-Signature=s" for name in "ab"]
    assert [each.raw for each in find_inputs(urls, "out", "zarr", {})[0]] == urls
    with pytest.raises(InvalidParameters) as refused:
        find_inputs([urls[0], "https://h/x/a.raw?sig=s"], "out", "zarr", {})
    assert "=s" not in str(refused.value)

"""The entries of a batch, and the messages for invalid entries."""

from __future__ import annotations

from typing import Any

import pytest

from flows.core.outcomes import InvalidParameters
from flows.runs.batch.batch_entries import batch_files
from flows.stores.request import ConversionRequest

RUN = {"owner": "flow run 7", "run": {"flow_run_id": "7"}}
GOOD: dict[str, Any] = {
    "raw_file": "s3://inbox/cruise/D2007 #1.raw",
    "sonar_model": "EK60",
    "output_path": "s3://output/cruise/D2007 #1.zarr",
    "output_type": "zarr",
}


def error_of(*files: object) -> str:
    (found,) = batch_files(files, RUN)
    assert isinstance(found.request, InvalidParameters)
    return str(found.request)


def test_an_entry_requests_the_same_as_its_own_run() -> None:
    given = {
        **GOOD,
        "overwrite": True,
        "source_etag": "abc",
        "source_version_id": None,
        "sidecar_etags": None,
        "convert_params": None,
    }
    (file,) = batch_files([given], RUN)
    assert file.name == "D2007 #1.raw"
    assert file.request == ConversionRequest(
        **GOOD, overwrite=True, source_etag="abc", owner="flow run 7", run={"flow_run_id": "7"}
    )


@pytest.mark.parametrize(
    ("more", "skips"),
    [({}, False), ({"identity": "a" * 64}, True), ({"identity": "a" * 64, "forced": True}, False)],
)
def test_an_entry_of_the_trigger_skips_its_published_version_unless_forced(
    *, more: dict[str, Any], skips: bool
) -> None:
    (file,) = batch_files([{**GOOD, "overwrite": True, **more}], RUN)
    assert isinstance(file.request, ConversionRequest)
    assert file.request.skip_published == skips


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"sonar_model": "EK90"}, "files[0]: sonar_model is 'EK90'; known values: EK60"),
        ({"output_path": "s3://output/a.nc"}, "files[0]: output_path s3://output/a.nc ends in .nc"),
        ({"raw_file": "s3://inbox/folder/"}, "files[0]: raw_file"),
        ({"overwrite": "perhaps"}, "files[0]: overwrite: Input should be a valid boolean"),
        ({"zarr_format": 4}, "files[0]: zarr_format: Input should be 2 or 3"),
        ({"chunks": {"ping_time": "many"}}, "files[0]: chunks.ping_time: Input should be a valid"),
        ({"raw_fil": "s3://inbox/b.raw"}, "files[0]: raw_fil: Extra inputs are not permitted"),
        ({"owner": "me"}, "files[0]: owner: Extra inputs are not permitted"),
        ({"pause_above_bytes": 5}, "files[0].pause_above_bytes is not allowed in a batch"),
    ],
)
def test_the_error_of_an_entry_has_its_place_and_name(changes: dict[str, Any], cause: str) -> None:
    assert error_of({**GOOD, **changes}).startswith(cause)


def test_missing_parameters_are_named_without_credentials() -> None:
    message = error_of({"raw_file": "a.raw", "input_storage_options": {"secret": "hush"}})
    assert message == "files[0]: sonar_model: Field required; output_path: Field required"
    assert "hush" not in error_of({**GOOD, "input_storage_options": "hush"})


def test_one_bad_entry_leaves_the_others() -> None:
    found = batch_files([{}, GOOD, {**GOOD, "raw_file": 5}], RUN)
    assert [file.name for file in found] == ["files[0]", "D2007 #1.raw", "files[2]"]
    assert [isinstance(file.request, ConversionRequest) for file in found] == [False, True, False]


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ([], "files is empty"),
        ([GOOD, "s3://inbox/a.raw"], "files[1] is str, not an object"),
        (
            [{}, GOOD, {**GOOD, "raw_file": "s3://inbox/other.raw"}],
            "files[1] and files[2] have the same output: s3://output/cruise/D2007 #1.zarr",
        ),
        (
            [{**GOOD, "output_path": "s3://output/cruise"}, GOOD],
            "files[0] and files[1] have the same output",
        ),
    ],
)
def test_an_invalid_list_is_refused(files: list[Any], cause: str) -> None:
    with pytest.raises(InvalidParameters) as raised:
        batch_files(files, RUN)
    assert str(raised.value).startswith(cause)

"""Damaged files through the whole conversion: one outcome each, and nothing to open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from flows.conversion import convert
from flows.core.outcomes import BadFile, ConversionFailure
from flows.publishing.publication import Published
from flows.stores.request import ConversionRequest
from tests.conversions import converted, request_for, tree_of
from tests.damaged_files import (
    DAMAGED_FILES,
    EK60,
    DamagedFile,
    datagram_bytes,
    simrad_datagrams,
)

FAILING = [case for case in DAMAGED_FILES if case.outcome != "Completed"]
CONVERTIBLE = [case for case in DAMAGED_FILES if case.outcome == "Completed"]
# One of each format, and of each thing that is left out.
PARTIAL = {
    "ek60-two-holes": 142,
    "ek60-two-files-in-one": 144,
    "ek60-datagram-of-an-unknown-type": 144,
    "ek80-zeros-over-a-ping-and-its-parameters": 9,
    "azfp-as-found-broken": 32,
    "azfp6-zeros-over-an-end-flag": 16,
    "ad2cp-data-checksum-wrong": 419,
}


def _request(
    case: DamagedFile, path: Path, real_data: Path, output: Path, **changes: Any
) -> ConversionRequest:
    return request_for(path, output, case.model, xml_path=case.xml_path(real_data), **changes)


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_a_damaged_file_fails_with_its_cause_and_leaves_nothing(
    case: DamagedFile, real_data: Path, tmp_path: Path
) -> None:
    path, says = case.write(real_data, tmp_path)
    output = tmp_path / "output"
    with pytest.raises(ConversionFailure) as failure:
        # It fails before the format matters.
        convert(_request(case, path, real_data, output))
    assert type(failure.value).__name__ == case.outcome
    message = str(failure.value)
    assert path.name in message
    for words in says:
        assert words in message.replace(path.name, "")
    assert [found for found in output.rglob("*") if found.is_file()] == []


@pytest.mark.parametrize("case", CONVERTIBLE, ids=lambda case: case.name)
def test_what_only_looks_damaged_is_converted(
    case: DamagedFile, real_data: Path, tmp_path: Path
) -> None:
    path, _ = case.write(real_data, tmp_path)
    published = convert(_request(case, path, real_data, tmp_path / "output"))
    assert isinstance(published, Published)
    with tree_of(published) as tree:
        assert tree["Sonar/Beam_group1"].sizes["ping_time"] > 0


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
@pytest.mark.parametrize("case", [c for c in FAILING if c.name in PARTIAL], ids=lambda c: c.name)
def test_with_leave_the_whole_part_is_converted_and_says_what_is_missing(
    case: DamagedFile, output_type: str, real_data: Path, tmp_path: Path
) -> None:
    path, _ = case.write(real_data, tmp_path)
    changes = {"output_type": output_type, "owner": "test", "allow_partial": True}
    published = convert(_request(case, path, real_data, tmp_path / "output", **changes))
    assert isinstance(published, Published)
    (manifest,) = (tmp_path / "output").glob("*.manifest.json")
    written = json.loads(manifest.read_text())
    walked, missing = written["preflight"], written["missing"]
    assert sum(walked["pings"].values()) == PARTIAL[case.name]
    assert walked["damage"] or walked["unsupported"]
    with tree_of(published) as tree:
        assert tree["Provenance"].attrs["conversion_missing"] == missing
    assert walked["damages"] or walked["refused"] or "second file" in missing
    for damage in walked["damages"]:
        assert f"bytes {damage['start']} to {damage['end']} are lost" in missing
    for type_, refused in walked["refused"].items():
        assert f"{refused['count']} {type_} left out ({refused['cause']})" in missing


def test_all_that_is_missing_is_reported_however_much_it_is(
    real_data: Path, tmp_path: Path
) -> None:
    content = bytearray((real_data / EK60).read_bytes())
    items = simrad_datagrams(bytes(content))
    pings = [item for item in items if item.type == "RAW0"]
    holes = [(ping.start, ping.end) for ping in pings[10:100:20]]
    for start, end in holes:
        content[start:end] = bytes(end - start)
    # And between two whole ones, a type that nobody knows, twice.
    unknown = datagram_bytes(b"XYZ0", b"what is this") * 2
    at = pings[5].start
    raw = tmp_path / "many.raw"
    raw.write_bytes(content[:at] + unknown + content[at:])
    done = converted(raw, tmp_path / "out.nc", output_type="netcdf", allow_partial=True)
    walked = done.manifest["preflight"]
    shifted = [(start + len(unknown), end + len(unknown)) for start, end in holes]
    assert [(damage["start"], damage["end"]) for damage in walked["damages"]] == shifted
    assert [damage["pings_before"] for damage in walked["damages"]] == [10, 29, 48, 67, 86]
    assert walked["refused"]["XYZ0"]["count"] == 2
    missing = done.manifest["missing"]
    with xr.open_dataset(tmp_path / "out.nc", group="Provenance") as provenance:
        assert provenance.attrs["conversion_missing"] == missing
    for start, end in shifted:
        assert f"bytes {start} to {end} are lost" in missing
    assert "2 XYZ0 left out" in missing


def test_a_raw_file_under_another_suffix_fails_and_names_it(
    real_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "survey.dat"
    path.write_bytes((real_data / EK60).read_bytes())
    output = tmp_path / "output"
    with pytest.raises(BadFile, match=r"survey\.dat: .*\.raw file but got \.DAT"):
        convert(request_for(path, output, output_type="netcdf"))
    assert [found for found in output.rglob("*") if found.is_file()] == []

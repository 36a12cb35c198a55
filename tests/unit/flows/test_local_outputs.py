"""Conversion from and to local paths: atomic, locked, skipped, overwritten."""

from __future__ import annotations

import json
import logging
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import xarray as xr

from flows.conversion import OpenedRaw, convert, open_raw, save
from flows.core.locations import LocalLocation
from flows.core.outcomes import (
    InvalidParameters,
    MissingSidecar,
    OutputClaimed,
    OutputConflict,
    OutputMismatch,
    SourceChanged,
)
from flows.encoding.codec_families import codec_family_of
from flows.publishing import local_publishing
from flows.publishing.identity import differences
from flows.publishing.manifest import (
    ManifestInvalidError,
    manifest_rows,
    manifest_schema,
    read_manifest,
)
from flows.publishing.publication import Published, Skipped
from flows.stores import durable_files
from flows.stores.request import ConversionRequest
from tests.conversions import request_for

_EK80 = "ek80/-1519668699940320059.raw"


def quiet(_stage: str, _fraction: float) -> None:
    pass


def opened(request: ConversionRequest) -> OpenedRaw:
    found = open_raw(request, quiet)
    assert isinstance(found, OpenedRaw)
    return found


@pytest.fixture
def raw(real_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "-in" / "-15 µ.raw"
    path.parent.mkdir()
    shutil.copyfile(real_data / _EK80, path)
    return path


request = partial(request_for, model="ek80")


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_an_output_opens_as_the_parser_gave_it_and_nothing_else_stays(
    raw: Path, tmp_path: Path, output_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    it = opened(request(raw, tmp_path / "out", output_type=output_type, verify="full"))
    done = save(it, quiet)
    assert isinstance(done, Published)
    name = "-15 µ.zarr" if output_type == "zarr" else "-15 µ.nc"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name, f"{name}.manifest.json"}
    engine = "zarr" if output_type == "zarr" else "netcdf4"
    tree = xr.open_datatree(tmp_path / "out" / name, engine=engine, chunks=None)
    assert differences(it.echodata, tree, string_widths=output_type == "zarr") == []
    assert str(tree["Provenance"].to_dataset()["source_filenames"].values[0]) == str(raw)
    # Its samples are read from the copy until it is closed.
    it.close()
    assert [path for path in scratch.iterdir() if path.name.startswith("echodrop-")] == []


def test_the_manifest_holds_to_its_schema_and_reads_for_people(raw: Path, tmp_path: Path) -> None:
    done = convert(request(raw, tmp_path / "o.zarr", sonar_model_source="said by the caller"))
    assert isinstance(done, Published)
    jsonschema.Draft202012Validator.check_schema(manifest_schema())
    body = (tmp_path / "o.zarr.manifest.json").read_bytes()
    manifest = read_manifest(body, "o")
    assert manifest == done.manifest
    assert manifest["source"]["sha256"].startswith("7693535a56aaeb87")
    assert manifest["preflight"]["bytes_unaccounted"] == 0
    assert manifest["timings"].keys() >= {"fetch", "preflight", "open", "encode", "publish"}
    rows = {row["fact"]: row["value"] for row in manifest_rows(manifest)}
    assert rows["sonar model"] == "EK80"
    assert rows["pings"] == "Sonar/Beam_group1: 6"
    for spoiled in (
        {**manifest, "manifest_version": 2},
        {name: value for name, value in manifest.items() if name != "verification"},
        {**manifest, "source": {**manifest["source"], "sha256": "no"}},
    ):
        with pytest.raises(ManifestInvalidError):
            read_manifest(json.dumps(spoiled).encode(), "o")


def test_a_published_output_is_skipped_or_replaced_with_overwrite(
    raw: Path, tmp_path: Path
) -> None:
    output = tmp_path / "o.zarr"
    assert isinstance(convert(request(raw, output)), Published)
    first = (output / "zarr.json").read_bytes()
    assert isinstance(convert(request(raw, output)), Skipped)
    assert isinstance(convert(request(raw, output, overwrite=True)), Published)
    second = (output / "zarr.json").read_bytes()
    assert {codec_family_of(first), codec_family_of(second)} == {0, 1}
    os.utime(raw, ns=(1, 1))
    with pytest.raises(OutputConflict, match="overwrite is off"):
        convert(request(raw, output))
    assert (output / "zarr.json").read_bytes() == second


def test_an_output_of_others_is_not_changed_without_overwrite(raw: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.zarr"
    output.mkdir()
    (output / "precious").write_text("mine")
    with pytest.raises(OutputConflict, match="an output without a manifest"):
        convert(request(raw, output))
    assert (output / "precious").read_text() == "mine"
    # A claim file without a lock: a run was killed while publishing.
    (tmp_path / "o.zarr.claim.json").touch()
    assert isinstance(convert(request(raw, output)), Published)
    assert not (output / "precious").exists()


def test_one_of_two_processes_publishes_at_a_time(raw: Path, tmp_path: Path) -> None:
    it = opened(request(raw, tmp_path / "o.zarr"))
    with (
        local_publishing._lock(LocalLocation(tmp_path / "o.zarr")),
        pytest.raises(OutputClaimed),
    ):
        save(it, quiet)
    assert isinstance(save(it, quiet), Published)
    assert not (tmp_path / "o.zarr.claim.json").exists()


def test_leftovers_of_a_killed_run_are_deleted(raw: Path, tmp_path: Path) -> None:
    (tmp_path / ".partial-0123-o.zarr").mkdir()
    convert(request(raw, tmp_path / "o.zarr"))
    assert not (tmp_path / ".partial-0123-o.zarr").exists()


def test_an_output_that_reads_back_differently_never_gets_its_name(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = durable_files.StoreFolder.write

    def spoil(folder: durable_files.StoreFolder, key: str, body: bytes) -> None:
        write(folder, key, b"" if key == "Sonar/Beam_group1/ping_time/c/0" else body)

    monkeypatch.setattr(durable_files.StoreFolder, "write", spoil)
    with pytest.raises(OutputMismatch, match="ping_time"):
        convert(request(raw, tmp_path / "out" / "o.zarr"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_local_file_that_is_written_to_meanwhile_is_noticed(raw: Path, tmp_path: Path) -> None:
    def touch(stage: str, _fraction: float) -> None:
        if stage == "open":
            os.utime(raw, ns=(1, 1))

    with pytest.raises(SourceChanged, match="-15 µ"):
        convert(request(raw, tmp_path / "o.zarr"), touch)


def test_sidecars_of_either_case_are_used_and_left_out_on_demand(
    real_data: Path, tmp_path: Path
) -> None:
    source = real_data / "ek60" / "D20070724-T042400"
    raw = tmp_path / "D.raw"
    shutil.copyfile(source.with_suffix(".raw"), raw)
    shutil.copyfile(source.with_suffix(".bot"), tmp_path / "D.BOT")
    plain: dict[str, Any] = {"sonar_model": "EK60"}
    with_bottom = opened(request(raw, tmp_path / "o.zarr", **plain))
    assert [sidecar.kind for sidecar in with_bottom.sidecars] == ["bot"]
    assert "detected_seafloor_depth" in with_bottom.echodata["Vendor_specific"]
    left_out = {"include_bot": False}
    without = opened(request(raw, tmp_path / "o.zarr", convert_params=left_out, **plain))
    assert without.sidecars == []
    assert "detected_seafloor_depth" not in without.echodata["Vendor_specific"]
    named = {"bot_path": str(source.with_suffix(".bot")), "platform_name": "Bigelow"}
    it = opened(request(raw, tmp_path / "o.zarr", convert_params=named, **plain))
    assert it.sidecars[0].file.location.uri == str(source.with_suffix(".bot"))
    assert it.echodata["Platform"].attrs["platform_name"] == "Bigelow"
    with pytest.raises(MissingSidecar, match=r"nowhere\.bot"):
        opened(
            request(
                raw,
                tmp_path / "o.zarr",
                convert_params={"bot_path": str(tmp_path / "nowhere.bot")},
                **plain,
            )
        )


def test_azfp_names_the_missing_sidecar(real_data: Path, tmp_path: Path) -> None:
    raw = real_data / "azfp" / "15100520-Test.01A"
    with pytest.raises(MissingSidecar, match=r"settings XML.*is required"):
        convert(request(raw, tmp_path, sonar_model="AZFP"))
    with pytest.raises(MissingSidecar, match=r"nowhere\.XML"):
        convert(request(raw, tmp_path, sonar_model="AZFP", xml_path="/nowhere.XML"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sonar_model": "EK61"}, "sonar_model is 'EK61'; known values: EK60, ES70"),
        ({"output_type": "csv"}, "output_type is 'csv'"),
        ({"zarr_format": 4}, "zarr_format is 4"),
        ({"verify": "no"}, "verify is 'no'"),
        ({"raw_file": "s3://bucket/folder/"}, "is a folder"),
        ({"raw_file": "ftp://x/y.raw"}, "not ftp://"),
        ({"output_path": "x.nc"}, "ends in .nc, but output_type is zarr"),
        ({"xml_path": "gs://x"}, "not gs://"),
        ({"chunks": {"ping_time": 0}}, "chunks ping_time is 0: a length is a positive integer"),
        ({"chunks": {"ping_time": -2}}, "chunks ping_time is -2"),
        ({"chunks": {"ping_time": "100"}}, "chunks ping_time is '100'"),
        ({"chunks": {"ping_time": 0}, "compact": False}, "chunks ping_time is 0"),
        ({"chunks": {"ping_time": 5}, "output_type": "netcdf"}, "output_type is netcdf"),
        ({"convert_params": {"include_bot": "no"}}, "include_bot is 'no'"),
        ({"convert_params": {"include_bot": 1}}, "include_bot is 1"),
        ({"convert_params": {"include_bot": []}}, "include_bot is []"),
        ({"convert_params": {"platfrom_name": "x"}}, "unknown convert_params ['platfrom_name']"),
        (
            {"convert_params": {"survey_name": 7}},
            "survey_name: Input should be a valid string (convert_params survey_name is 7)",
        ),
        (
            {"convert_params": {"water_level": "low"}},
            "water_level: Input should be a valid number (convert_params water_level is 'low')",
        ),
        ({"output_path": "s3://"}, "has no bucket"),
        ({"output_path": "s3:///"}, "has no bucket"),
        ({"output_path": "https://"}, "has no host"),
        ({"raw_file": "http:///x.raw"}, "has no host"),
        ({"raw_file": "http://host:99999/x.raw"}, "is not a URL"),
        ({"raw_file": "~nobody-of-this-name/x.raw"}, "~nobody-of-this-name"),
        (
            {"zarr_format": 2, "output_type": "netcdf"},
            "zarr_format is 2, but output_type is netcdf",
        ),
        (
            {"raw_file": "s3://b/x.raw", "input_storage_options": {"endpoint_url": "foo"}},
            "input_storage_options: ",
        ),
        (
            {
                "raw_file": "s3://b/x.raw",
                "input_storage_options": {"client_kwargs": {"region_name": "moon east"}},
            },
            "input_storage_options: ",
        ),
        (
            {
                "raw_file": "s3://b/x.raw",
                "input_storage_options": {"config_kwargs": {"retries": 5}},
            },
            "input_storage_options: ",
        ),
    ],
)
def test_parameters_are_refused_with_name_and_value(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameters) as refused:
        request(Path("a.raw"), Path("out"), **changes)
    assert words in str(refused.value)


def test_given_metadata_is_in_the_output(raw: Path, tmp_path: Path) -> None:
    given = {"platform_name": "Bigelow", "survey_name": "HB0710", "water_level": 2}
    done = convert(request(raw, tmp_path / "o.zarr", convert_params=given))
    with xr.open_datatree(done.output, engine="zarr") as tree:
        assert tree["Platform"].attrs["platform_name"] == "Bigelow"
        assert tree.attrs["survey_name"] == "HB0710"
        levels = tree["Platform"].to_dataset()["water_level"]
        assert levels.dtype == np.float64
        np.testing.assert_array_equal(levels, 2.0)


def test_echopype_does_not_silence_the_process(raw: Path, tmp_path: Path) -> None:
    opened(request(raw, tmp_path / "o.zarr"))
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize("before", ["nothing", "a stray file"])
def test_only_a_new_output_leaves_chunks_out(raw: Path, tmp_path: Path, before: str) -> None:
    """A reader with older metadata would take a missing chunk for fill values."""
    output = tmp_path / "o.zarr"
    if before == "a stray file":
        output.mkdir()
        (output / "stray").write_bytes(b"x")
    assert isinstance(convert(request(raw, output, overwrite=True)), Published)
    documents = json.loads((output / "zarr.json").read_bytes())["consolidated_metadata"]["metadata"]
    arrays = [path for path, each in documents.items() if each["node_type"] == "array"]
    assert all((output / path / "c").exists() for path in arrays) is (before != "nothing")

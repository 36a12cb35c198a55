"""A whole conversion of every sonar model and kind of channel, in both formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import xarray as xr

from flows.conversion import OpenedRaw, open_raw, save
from flows.core.outcomes import OutputMismatch
from flows.encoding import chunking
from flows.publishing.identity import differences
from flows.publishing.manifest import manifest_schema
from flows.publishing.publication import Published
from flows.rawfile.parsed_pings import compare_pings
from flows.stores.request import ConversionRequest
from flows.walk import preflight
from sonar_models import SONAR_MODELS
from tests.model_files import MODEL_FILES, POWER_SAMPLES, ModelFile

# ES70, ES80 and EA640 files are here EK60 and EK80 files of another name.
UNLIKE = [file for file in MODEL_FILES if file.model not in {"ES70", "ES80", "EA640"}]
GROUPED = [file for file in UNLIKE if file.beam_groups > 1]


def quiet(_stage: str, _fraction: float) -> None:
    pass


def opened(file: ModelFile, real_data: Path, folder: Path, **changes: Any) -> OpenedRaw:
    """The file as opened by the conversion, with compared pings."""
    it = open_raw(
        ConversionRequest(
            **{
                "raw_file": str(file.write(real_data, folder)),
                "sonar_model": file.model,
                "xml_path": file.xml_path(real_data),
                "output_path": str(folder / "out"),
                "verify": "full",
                **changes,
            }
        ),
        quiet,
    )
    assert isinstance(it, OpenedRaw)
    return it


def test_no_model_is_left_out() -> None:
    assert {file.model for file in MODEL_FILES} == set(SONAR_MODELS)


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
@pytest.mark.parametrize("file", MODEL_FILES, ids=lambda file: file.name)
def test_a_file_comes_out_bit_by_bit_with_a_valid_manifest(
    file: ModelFile, output_type: str, real_data: Path, tmp_path: Path
) -> None:
    it = opened(file, real_data, tmp_path, output_type=output_type)
    done = save(it, quiet)
    assert isinstance(done, Published)
    is_zarr = output_type == "zarr"
    with xr.open_datatree(
        done.output, engine="zarr" if is_zarr else "netcdf4", chunks=None
    ) as tree:
        assert differences(it.echodata, tree, string_widths=is_zarr) == []
        assert len(tree["Sonar"]["beam_group"]) == file.beam_groups
        assert tree["Sonar"].attrs["sonar_model"] == file.model
    manifest = json.loads(Path(f"{done.output}.manifest.json").read_text())
    jsonschema.validate(manifest, manifest_schema())
    assert manifest["sonar"]["model"] == file.model
    assert len(manifest["contents"]["pings"]) == file.beam_groups
    assert manifest["preflight"]["bytes_unaccounted"] == 0


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
@pytest.mark.parametrize("file", UNLIKE, ids=lambda file: file.name)
def test_coordinates_are_verified_like_others_if_they_are_as_long_as_samples(
    file: ModelFile,
    output_type: str,
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in a file of 65,536 pings or more, where each of these has a chunk to decode.
    monkeypatch.setattr(chunking, "LARGE_ELEMENTS", 2)
    it = opened(file, real_data, tmp_path, output_type=output_type, verify="sampled")
    assert isinstance(save(it, quiet), Published)


def test_complex_and_power_channels_have_a_beam_group_each(real_data: Path, tmp_path: Path) -> None:
    (file,) = (file for file in MODEL_FILES if file.name == "ek80-mixed")
    echodata = opened(file, real_data, tmp_path).echodata
    complex_group, power_group = (echodata[f"Sonar/Beam_group{n}"] for n in (1, 2))
    assert {"backscatter_r", "backscatter_i"} <= set(complex_group.data_vars)
    assert "backscatter_i" not in power_group
    assert {"angle_alongship", "angle_athwartship"} <= set(power_group.data_vars)
    assert power_group.sizes["range_sample"] == POWER_SAMPLES
    assert (complex_group.sizes["channel"], power_group.sizes["channel"]) == (3, 2)


@pytest.mark.parametrize("file", GROUPED, ids=lambda file: file.name)
def test_a_ping_lost_in_any_beam_group_is_missed(
    file: ModelFile, real_data: Path, tmp_path: Path
) -> None:
    summary = preflight(file.write(real_data, tmp_path), file.model)
    echodata = opened(file, real_data, tmp_path).echodata
    names = [f"Beam_group{n + 1}" for n in range(file.beam_groups)]
    groups = {"Sonar": echodata["Sonar"]}
    groups.update({f"Sonar/{name}": echodata[f"Sonar/{name}"] for name in names})
    compare_pings(groups, summary)
    for name in names:
        less = groups[f"Sonar/{name}"].isel(ping_time=slice(1, None))
        with pytest.raises(OutputMismatch, match="echopype read"):
            compare_pings({**groups, f"Sonar/{name}": less}, summary)
        later = groups[f"Sonar/{name}"]
        later = later.assign_coords(ping_time=later["ping_time"] + np.timedelta64(1, "ms"))
        with pytest.raises(OutputMismatch, match="other ping times"):
            compare_pings({**groups, f"Sonar/{name}": later}, summary)

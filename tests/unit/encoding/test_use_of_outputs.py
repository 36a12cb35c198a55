"""Outputs as people use them: two files opened, combined, and saved again.

(echopype 0.11.1 cannot save any combined EchoData as netCDF, because netCDF has no type
for its attribute `is_combined`. xarray saves its groups.)

xarray keeps the packing of a variable through concat and reindex. The saved files must
keep the NaN from combining, or missing samples would become 0 dB.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import echopype
import numpy as np
import pytest
import xarray as xr
from echopype.echodata import EchoData

from flows.encoding.netcdf_encoding import write_netcdf
from flows.encoding.zarr_encoding import encode_zarr

Write = Callable[[EchoData, Path], Path]
Kind = Literal["zarr", "netcdf"]

# Real file -> the group and the variables that are packed as integers.
PACKED = {
    "ek60/D20070724-T042400.raw": ("Sonar/Beam_group1", ["backscatter_r"]),
    "ek80/-1519668699940320059.raw": ("Sonar/Beam_group1", ["backscatter_r"]),
    "azfp/15100520-Test.01A": ("Sonar/Beam_group1", ["backscatter_r"]),
    "ad2cp/SG198_0099_a.ad2cp": ("Sonar/Beam_group1", ["amplitude", "velocity"]),
}
# Number of samples by which the second file is shorter.
SHORTER = 7


def as_zarr(echodata: EchoData, path: Path) -> Path:
    for key, body in encode_zarr(echodata, codec_family=None).items():
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(body)
    return path


def as_netcdf(echodata: EchoData, path: Path) -> Path:
    write_netcdf(echodata, path)
    return path


WRITERS: dict[Kind, Write] = {
    "zarr": lambda echodata, path: as_zarr(echodata, path.with_suffix(".zarr")),
    "netcdf": as_netcdf,
}


def shorter_and_later(echodata: EchoData) -> EchoData:
    """The same recording an hour later with fewer samples per ping, as after a change of range."""
    tree = {}
    for path in echodata.group_paths:
        dataset = echodata[path]
        if dataset is None:
            continue
        if "range_sample" in dataset.dims:
            dataset = dataset.isel(range_sample=slice(None, -SHORTER))
        times = {
            n: v + np.timedelta64(1, "h") for n, v in dataset.coords.items() if v.dtype.kind == "M"
        }
        tree["/" if path == "Top-level" else f"/{path}"] = dataset.assign_coords(times)
    made = EchoData(converted_raw_path="in-memory.zarr")
    made.sonar_model = echodata.sonar_model
    made._set_tree(xr.DataTree.from_dict(tree, name="root"))
    return made


@pytest.fixture(scope="module", params=WRITERS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="module", params=PACKED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def first(
    open_real: Callable[[str], EchoData],
    tmp_path_factory: pytest.TempPathFactory,
    kind: Kind,
    name: str,
) -> Path:
    """The output of a real file, which tests only read."""
    return WRITERS[kind](open_real(name), tmp_path_factory.mktemp("outputs") / "first.nc")


@pytest.fixture(scope="module")
def combined(open_real: Callable[[str], EchoData], first: Path, kind: Kind, name: str) -> EchoData:
    """Two outputs as echopype combines them: lazy, so that each test reads the files."""
    second = WRITERS[kind](shorter_and_later(open_real(name)), first.with_name("second.nc"))
    paths = (first, second)
    return echopype.combine_echodata([echopype.open_converted(str(p)) for p in paths])


# echopype's own method comes last: it may change the encodings of what it saves.
@pytest.mark.parametrize("save", ["zarr", "netcdf", "echopype"])
def test_nan_of_combined_outputs_are_saved(
    open_real: Callable[[str], EchoData], combined: EchoData, tmp_path: Path, name: str, save: str
) -> None:
    group, variables = PACKED[name]
    wanted = combined[group][variables].compute()
    match save:
        case "echopype":
            combined.to_zarr(tmp_path / "again.zarr", compress=False)
            again = echopype.open_converted(str(tmp_path / "again.zarr"))[group]
        case "zarr":
            combined[group][variables].to_zarr(tmp_path / "again.zarr")
            again = xr.open_zarr(tmp_path / "again.zarr")
        case _:
            combined[group][variables].to_netcdf(tmp_path / "again.nc")
            again = xr.open_dataset(tmp_path / "again.nc")
    for variable in variables:
        # The precondition of this test: the second file's pings end in NaN.
        samples = wanted[variable].sizes["range_sample"]
        assert int(np.isnan(wanted[variable]).sum()) >= SHORTER
        xr.testing.assert_equal(again[variable], wanted[variable])
        assert samples == open_real(name)[group].sizes["range_sample"]


def test_nan_of_a_reindexed_output_are_saved(first: Path, tmp_path: Path, name: str) -> None:
    group, variables = PACKED[name]
    opened = echopype.open_converted(str(first))[group][variables]
    samples = np.arange(opened.sizes["range_sample"] + SHORTER)
    longer = opened.assign_coords(range_sample=samples[:-SHORTER]).reindex(range_sample=samples)
    longer.to_zarr(tmp_path / "longer.zarr")
    longer.to_netcdf(tmp_path / "longer.nc")
    for again in (xr.open_zarr(tmp_path / "longer.zarr"), xr.open_dataset(tmp_path / "longer.nc")):
        for variable in variables:
            assert bool(np.isnan(longer[variable].isel(range_sample=-1)).all())
            xr.testing.assert_equal(again[variable], longer[variable])


def test_pings_can_be_appended_to_an_output(
    open_real: Callable[[str], EchoData], tmp_path: Path
) -> None:
    """Also to variables of one value, which have no chunk before."""
    echodata = open_real("ek60/D20070724-T042400.raw")
    path = as_zarr(echodata, tmp_path / "first.zarr")
    group = "Sonar/Beam_group1"
    first = echodata[group]
    second = shorter_and_later(echodata)[group].reindex(range_sample=first["range_sample"])
    changed = second.assign(sample_interval=second["sample_interval"] * 2)
    assert len(set(first["sample_interval"].values.flat)) == 1
    of_pings = [name for name, each in changed.variables.items() if "ping_time" in each.dims]
    changed[of_pings].drop_vars(["channel", "range_sample"]).to_zarr(
        path, group=group, append_dim="ping_time", safe_chunks=False
    )
    again = xr.open_zarr(path, group=group, consolidated=False)
    for name in ("sample_interval", "transmit_duration_nominal", "backscatter_r"):
        wanted = xr.concat([first[name], changed[name]], "ping_time")
        np.testing.assert_array_equal(again[name], wanted)

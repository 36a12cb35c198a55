from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import echopype
import netCDF4
import numpy as np
import pytest
import xarray as xr
from echopype.echodata import EchoData

from flows.core.packing import SIMRAD_POWER_STEP
from flows.encoding.netcdf_encoding import write_netcdf
from flows.publishing.identity import differences


@pytest.mark.parametrize("compact", [True, False])
def test_opening_gives_every_bit_of_the_echodata(
    echodata: EchoData,
    tmp_path: Path,
    compact: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    path = tmp_path / "out.nc"
    write_netcdf(echodata, path, compact=compact)
    found = echopype.open_converted(str(path))
    assert differences(echodata, found, string_widths=False) == []
    found._tree.close()


def test_strings_alone_may_lose_unused_width(echodata: EchoData, tmp_path: Path) -> None:
    path = tmp_path / "out.nc"
    write_netcdf(echodata, path)
    found = echopype.open_converted(str(path))
    for difference in differences(echodata, found):
        assert difference.what == "dtype"
        assert difference.expected.startswith("<U")
        assert difference.found.startswith("<U")
    found._tree.close()


def test_power_is_stored_as_the_integers_of_the_file(ek60: EchoData, tmp_path: Path) -> None:
    write_netcdf(ek60, tmp_path / "out.nc")
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        power = file["Sonar/Beam_group1/backscatter_r"]
        assert power.dtype == np.int16
        assert power.scale_factor == SIMRAD_POWER_STEP
        assert power.filters()["zlib"]


def test_nan_and_inexact_samples_come_back(
    echodata_of: Callable[[Mapping[str, xr.Dataset]], EchoData], tmp_path: Path
) -> None:
    dims = ("channel", "ping_time", "range_sample")
    power = np.arange(-300.0, 300.0).reshape(2, 10, 30) * SIMRAD_POWER_STEP
    power[1, :, 20:] = np.nan
    inexact = power.copy()
    inexact[-1, -1, 0] = np.nextafter(inexact[-1, -1, 0], 0)
    made = echodata_of(
        {
            "/": xr.Dataset(
                {
                    "power": (dims, power),
                    "inexact": (dims, inexact),
                    "empty": ("cpu", np.empty(0)),
                    "flag": ("ping_time", np.arange(10) > 4),
                },
                attrs={"names": ["a", "b"], "range": (0.0, 1.0)},
            ),
            "/Sonar/Beam_group1": xr.Dataset({"scalar": ((), "one")}),
        }
    )
    write_netcdf(made, tmp_path / "out.nc")
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert (file["power"].dtype, file["inexact"].dtype) == (np.int16, np.float64)
    with xr.open_datatree(tmp_path / "out.nc") as found:
        assert differences(made, found) == []

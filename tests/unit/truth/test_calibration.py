"""Outputs calibrate with echopype as its own EchoData does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import echopype
import numpy as np
import pytest
import xarray as xr
from echopype.calibrate import compute_Sv, compute_TS
from echopype.commongrid import compute_MVBS
from echopype.consolidate import add_depth, add_location

from flows.rawfile.azfp.parsers import without_limits
from flows.stores.request import ConvertParams
from tests.conversions import converted

pytestmark = pytest.mark.filterwarnings("ignore")

AZFP_XML = "azfp/15100804.XML"
# echopype calibrates no AZFP6 and no AD2CP. Sea water for the AZFP, whose files lack it (echopype's documentation of AZFP).
AZFP_WATER = {"env_params": {"salinity": 27.9, "pressure": 59}}
COMPLEX_CW = {"waveform_mode": "CW", "encode_mode": "complex"}
POWER_CW = {"waveform_mode": "CW", "encode_mode": "power"}
BROADBAND = {"waveform_mode": "BB", "encode_mode": "complex"}
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "ek60/D20070724-T042400.raw": ("EK60", {}),
    "ek80/-1519668699940320059.raw": ("EK80", POWER_CW),
    "ek80/2917763601822576513.raw": ("EK80", BROADBAND),
    "ek80/EK80_-D20221108-T151353.raw": ("EK80", COMPLEX_CW),
    "azfp/15100520-Test.01A": ("AZFP", AZFP_WATER),
}

Expected = Callable[[str], dict[str, xr.Dataset | str]]


def steps(echodata: Any, parameters: dict[str, Any]) -> dict[str, xr.Dataset | str]:
    """What users compute, by name; the error's class where echopype cannot."""

    def attempt(step: Callable[[], xr.Dataset]) -> xr.Dataset | str:
        try:
            return step().compute()
        # BLE001: the same error from both is the same result.
        except Exception as error:  # noqa: BLE001
            return type(error).__name__

    strength = compute_Sv(echodata, **parameters)
    return {
        "Sv": attempt(lambda: strength),
        "TS": attempt(lambda: compute_TS(echodata, **parameters)),
        "location": attempt(lambda: add_location(strength, echodata)),
        "depth": attempt(lambda: add_depth(strength, echodata)),
        "MVBS": attempt(lambda: compute_MVBS(strength, range_bin="5m", ping_time_bin="5s")),
    }


def assert_equal(ours: dict[str, xr.Dataset | str], theirs: dict[str, xr.Dataset | str]) -> None:
    for name, expected in theirs.items():
        found = ours[name]
        if isinstance(expected, str) or isinstance(found, str):
            assert found == expected, name
            continue
        assert found.sizes == expected.sizes, name
        for variable, values in expected.variables.items():
            if values.dtype.kind not in "fiuM":
                continue
            if name == "MVBS" and values.dtype.kind == "f":
                # The order of a mean's sum depends on the chunks.
                np.testing.assert_allclose(found[variable].values, values.values, rtol=1e-12)
            else:
                np.testing.assert_array_equal(found[variable].values, values.values, str(variable))


def written(data: Path, file: str, folder: Path, output_type: Any, *, corrections: bool) -> Path:
    model, _ = FILES[file]
    changes = {
        "output_type": output_type,
        "xml_path": data / AZFP_XML if model == "AZFP" else None,
        "convert_params": ConvertParams(include_bot=None if model.startswith("A") else False),
        "corrections": corrections,
    }
    return Path(converted(data / file, folder, model, **changes).output)


@pytest.fixture(scope="module")
def expected(real_data: Path) -> Expected:
    """What users compute from echopype's own EchoData of a file."""

    @cache
    def computed(file: str) -> dict[str, xr.Dataset | str]:
        model, parameters = FILES[file]
        # The times of an AZFP have their hundredths, also without corrections.
        with without_limits():
            theirs = echopype.open_raw(
                str(real_data / file),
                sonar_model=model,
                xml_path=str(real_data / AZFP_XML) if model == "AZFP" else None,
            )
        found = steps(theirs, parameters)
        assert not isinstance(found["Sv"], str), found["Sv"]
        return found

    return computed


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
@pytest.mark.parametrize("file", FILES)
def test_an_output_without_corrections_calibrates_as_echopypes_own(
    real_data: Path, tmp_path: Path, expected: Expected, file: str, output_type: str
) -> None:
    _, parameters = FILES[file]
    output = written(real_data, file, tmp_path, output_type, corrections=False)
    eager_and_lazy: tuple[dict[str, int] | None, ...] = (None, {})
    for chunks in eager_and_lazy:
        found = echopype.open_converted(str(output), chunks=chunks)
        # echopype reads its transceiver types as numpy arrays only, in its own outputs too.
        found["Vendor_specific"] = found["Vendor_specific"].load()
        assert_equal(steps(found, parameters), expected(file))


@pytest.mark.parametrize("file", FILES)
def test_corrections_of_the_recorded_files_change_no_calibration(
    real_data: Path, tmp_path: Path, expected: Expected, file: str
) -> None:
    """They only add what echopype drops; test_corrections.py has files whose results change."""
    _, parameters = FILES[file]
    corrected = written(real_data, file, tmp_path, "zarr", corrections=True)
    found = echopype.open_converted(str(corrected))
    found["Vendor_specific"] = found["Vendor_specific"].load()
    assert_equal(steps(found, parameters), expected(file))

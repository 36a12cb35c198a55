"""Directions of an EK80's beams, its calibrations, and units of Simrad files are those of the file's values."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import echopype
import numpy as np
import pytest
from echopype.calibrate import compute_Sv
from echopype.consolidate import add_depth

from tests.conversions import converted

pytestmark = pytest.mark.filterwarnings("ignore")

EK80 = "ek80/EK80_-D20221108-T151353.raw"
DIRECTIONS = "directions of beams are unit vectors, not angles in degrees"
UNITS = "units are dB for equivalent beam angles, and V for complex samples"


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_beams_point_where_the_configuration_says(
    output_type: str, real_data: Path, tmp_path: Path
) -> None:
    done = converted(real_data / EK80, tmp_path, "EK80", output_type=output_type)
    counts = {each["what"]: each["count"] for each in done.manifest["corrections"]}
    echodata = echopype.open_converted(done.output)
    beam = echodata["Sonar/Beam_group1"]
    root = ET.fromstring(str(echodata["Vendor_specific"]["config_xml"].values))  # noqa: S314 - our own file
    mounted = {e.get("TransducerName"): e for e in root.findall("Transducers/Transducer")}
    channels = beam["channel"].values.tolist()
    for channel in channels:
        (name,) = [name for name in mounted if f" {name}" in channel]
        x, y, z = (np.radians(float(mounted[name].get(f"TransducerAlpha{a}", ""))) for a in "XYZ")
        found = [beam[f"beam_direction_{a}"].sel(channel=channel).item() for a in "xyz"]
        # Small rotations: about x (forward) to port, about y (starboard) forward.
        np.testing.assert_allclose(found, (y + x * z, y * z - x, 1 - (x**2 + y**2) / 2), atol=1e-5)
        assert np.linalg.norm(found) == pytest.approx(1)
    assert counts[DIRECTIONS] == len(channels)


def test_depth_along_the_beam_is_nearly_the_range(real_data: Path, tmp_path: Path) -> None:
    """The beams are less than two degrees from the vertical."""

    def depth_of_range(**options: Any) -> np.ndarray[Any, Any]:
        folder = tmp_path / str(len(options))
        done = converted(real_data / EK80, folder, "EK80", **options)
        echodata = echopype.open_converted(done.output)
        strength = compute_Sv(echodata, waveform_mode="CW", encode_mode="complex")
        sample = strength.isel(range_sample=slice(1000, 1001))
        depth = add_depth(sample, echodata, use_beam_angles=True)
        ratio = depth["depth"] / depth["echo_range"]
        return ratio.max(["ping_time", "range_sample"]).values  # type: ignore[no-any-return]

    assert (depth_of_range() > 0.999).all()
    # With the angles as components, up to the other direction.
    assert (depth_of_range(corrections=False) < 0.35).all()


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
@pytest.mark.parametrize(
    ("model", "file", "samples", "count"),
    [
        ("EK80", EK80, "V", 3),
        ("EK80", "ek80/-1519668699940320059.raw", "dB", 1),
        ("EK60", "ek60/D20070724-T042400.raw", "dB", 1),
    ],
)
def test_units_are_those_of_the_values(
    *,
    output_type: str,
    model: str,
    file: str,
    samples: str,
    count: int,
    real_data: Path,
    tmp_path: Path,
) -> None:
    done = converted(real_data / file, tmp_path, model, output_type=output_type)
    beam = echopype.open_converted(done.output)["Sonar/Beam_group1"]
    # 7 to 10 degrees wide; an angle in steradians cannot be negative.
    assert (
        (beam["equivalent_beam_angle"].values > -22) & (beam["equivalent_beam_angle"] < -12)
    ).all()
    assert beam["equivalent_beam_angle"].attrs["units"] == "dB"
    assert "valid_range" not in beam["equivalent_beam_angle"].attrs
    assert beam["backscatter_r"].attrs["units"] == samples
    assert {"what": UNITS, "count": count} in done.manifest["corrections"]
    plain = converted(
        real_data / file, tmp_path / "plain", model, output_type=output_type, corrections=False
    )
    assert f"not corrected: {UNITS} ({count} values)" in plain.manifest["missing"]
    beam = echopype.open_converted(plain.output)["Sonar/Beam_group1"]
    assert beam["equivalent_beam_angle"].attrs["units"] == "sr"


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_calibrations_keep_frequencies_that_are_no_whole_hertz(
    output_type: str, real_data: Path, tmp_path: Path
) -> None:
    """echopype reads them as integers. Two of them may be less than a hertz apart."""
    content = (real_data / "ek80/2917763601822576513.raw").read_bytes()
    # Of one length, as lengths of datagrams stay.
    before, after = b'"34099" Gain="16.19"', b'"34000.5" Gain="16."'
    assert content.count(before) == 1
    content = content.replace(before, after)
    raw = tmp_path / "D.raw"
    raw.write_bytes(content)
    done = converted(raw, tmp_path, "EK80", output_type=output_type)
    vendor = echopype.open_converted(done.output)["Vendor_specific"]
    assert vendor["cal_frequency"].values[:4].tolist() == [34000, 34000.5, 34198, 34297]
    assert vendor["gain"].isel(cal_channel_id=0).values[:4].tolist() == [16.19, 16, 16.25, 16.38]
    assert vendor["cal_frequency"].attrs["units"] == "Hz"
    what = "Frequency of FrequencyPar is written as a float"
    assert [each["count"] for each in done.manifest["repairs"] if each["what"] == what] == [1]

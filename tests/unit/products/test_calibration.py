"""Sv by blocks of pings is echopype's Sv of the whole file, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from echopype.calibrate import compute_Sv

from flows.products.opened_output import open_output
from flows.products.sv import calibration
from flows.products.sv.calibration import ChannelCalibration, calibrate_first_pings
from flows.products.sv.depth_bins import VerticalGrid
from flows.products.sv.echopype_sv import ASSUMED_WATER, NotCalibratedError
from flows.products.sv.gridded import gridded
from flows.products.sv.panels import Panel, panels_of
from tests.unit.products.conftest import Converted

pytestmark = pytest.mark.filterwarnings("ignore")

FILES = [
    ("ek60/D20070724-T042400.raw", "EK60", ["power"]),
    ("ek80/-1519668699940320059.raw", "EK80", ["power"]),
    ("ek80/EK80_-D20221108-T151353.raw", "EK80", ["complex_CW"]),
    ("ek80/2917763601822576513.raw", "EK80", ["complex_FM"]),
    ("azfp/15100520-Test.01A", "AZFP", ["counts"]),
    # Two beam groups, pings of CW and FM in turn on each channel.
    ("ek80_cw_fm_interleaved_cw_with_start_end.raw", "EK80", ["complex_CW", "complex_FM"]),
    ("ek80_power_and_complex_together.raw", "EK80", ["complex_CW", "power"]),
    # The sound speed changes, so the pings have two settings.
    ("ek80_two_environments.raw", "EK80", ["power"]),
]


def whole(echodata: Any, panel: Panel) -> tuple[Any, Any]:
    """echopype's Sv and range of all pings of the panel."""
    options: dict[str, Any] = {"env_params": dict(ASSUMED_WATER)}
    if echodata.sonar_model == "EK60":
        options = {}
    elif panel.encoding != "counts":
        waveform = "BB" if panel.encoding == "complex_FM" else "CW"
        encode = "power" if panel.encoding == "power" else "complex"
        options = {"waveform_mode": waveform, "encode_mode": encode}
    found = compute_Sv(echodata, **options).isel(channel=panel.channel)
    values, ranges = (
        found[name].transpose("ping_time", "range_sample").values[panel.pings]
        for name in ("Sv", "echo_range")
    )
    return np.where(np.isfinite(values), values, np.nan), ranges


@pytest.mark.parametrize(("file", "model", "encodings"), FILES)
def test_blocks_are_the_whole(
    converted: Converted,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    model: str,
    encodings: list[str],
) -> None:
    echodata = open_output(str(converted(file, model)))
    panels = panels_of(echodata)
    assert sorted({panel.encoding for panel in panels}) == encodings
    groups = [p for p in echodata.group_paths if p.startswith("Sonar/Beam_group")]
    channels = {c for group in groups for c in echodata[group].channel.values.tolist()}
    assert {panel.channel_id for panel in panels} == channels
    # A few pings at a time.
    wide = echodata[groups[0]].sizes
    samples = wide["range_sample"] * wide.get("beam", 1)
    monkeypatch.setattr(calibration, "BLOCK_SAMPLES", 3 * samples)
    together = [ChannelCalibration(echodata, panel) for panel in panels]
    calibrate_first_pings(together)
    for panel, first in zip(panels, together, strict=True):
        expected, ranges = whole(echodata, panel)
        calibrated = ChannelCalibration(echodata, panel)
        blocks = list(calibrated.blocks())
        for setting, gain in first.gains.known.items():
            alone = calibrated.gains.known[setting]
            np.testing.assert_array_equal(gain.decibels, alone.decibels)
            assert (gain.start, gain.step) == (alone.start, alone.step)
        assert len(first.gains.known) == (panel.encoding != "counts")
        assert all(block.values.size <= 3 * samples for block in blocks)
        assert np.concatenate([b.places for b in blocks]).tolist() == list(range(panel.pings.size))
        found = np.concatenate([block.values for block in blocks])
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)
        start, step = (
            np.concatenate([getattr(b, name) for b in blocks])[:, None]
            for name in ("start", "step")
        )
        ours = start + step * np.arange(expected.shape[1])
        known = np.isfinite(ranges)
        np.testing.assert_allclose(ours[known], ranges[known], rtol=0, atol=1e-9)


def test_every_kth_ping_of_a_channel(echodata: Any) -> None:
    for panel in panels_of(echodata):
        calibrated = ChannelCalibration(echodata, panel)
        expected = np.concatenate([block.values for block in calibrated.blocks()])
        blocks = list(calibrated.blocks(every=4))
        assert np.concatenate([block.places for block in blocks]).tolist() == [0, 4, 8]
        found = np.concatenate([block.values for block in blocks])
        np.testing.assert_array_equal(found, expected[::4])


def test_blocks_of_a_wide_file_are_bounded(converted: Converted) -> None:
    """Its longest ping has 26,040 samples, so all of them have that width; a cut one is said."""
    echodata = open_output(str(converted("ragged60.raw", "EK60")))
    source = gridded(echodata)
    wide = max(source.panels, key=lambda each: each.last)
    assert wide.last > 4000
    # As if the long ping were not among those that were looked at.
    wide.last = 19.2
    for each in source.panels[:2]:
        assert [values.shape[1] for _, values in each.means(VerticalGrid(0, 1, 19))]
    assert source.cut_notes() == ["18 kHz: some pings reach beyond 19 m, which is not shown"]
    for panel in panels_of(echodata)[:1]:
        for block in ChannelCalibration(echodata, panel).blocks():
            assert block.values.size <= calibration.BLOCK_SAMPLES


def test_what_cannot_be_calibrated_is_said(converted: Converted) -> None:
    echodata = open_output(str(converted("azfp6/20090314_01A.azfp", "AZFP6")))
    with pytest.raises(NotCalibratedError, match="echopype does not calibrate AZFP6"):
        ChannelCalibration(echodata, panels_of(echodata)[0]).extent()

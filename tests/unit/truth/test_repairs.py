"""Whole files that echopype cannot read as they are: converted, with what was done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr

from echodrop.conversions import DONE
from echodrop.terminal import check
from flows.core.outcomes import BadFile, ConversionFailure, UnsupportedDatagram
from tests import conversions

Groups = Callable[[str], xr.Dataset]
Check = Callable[[Groups], bool]
OutputType = Literal["zarr", "netcdf"]


def model_of(path: Path) -> str:
    return "EK60" if path.read_bytes()[4:8] == b"CON0" else "EK80"


def converted(
    path: Path, folder: Path, output_type: OutputType = "zarr", *, allow_partial: bool = False
) -> tuple[Groups, dict[str, Any]]:
    """The groups of a file's output, and its manifest."""
    changes = {"output_type": output_type, "allow_partial": allow_partial}
    result = conversions.converted(path, folder, model_of(path), **changes)

    def group(name: str) -> xr.Dataset:
        if output_type == "zarr":
            return xr.open_dataset(result.output, group=name, engine="zarr", consolidated=False)
        return xr.open_dataset(result.output, group=name, engine="netcdf4")

    return group, result.manifest


def ping_counts(group: Groups, number: int = 1) -> list[int]:
    """Pings of each channel of a Beam group."""
    interval = group(f"Sonar/Beam_group{number}")["sample_interval"]
    present = ~np.isnan(interval.transpose("channel", "ping_time").values)
    return [int(pings.sum()) for pings in present]


def _no_samples(group: Groups, channel: str, pings: int) -> bool:
    beam = group("Sonar/Beam_group1")
    own = beam.isel(channel=[channel in str(name) for name in beam["channel"].values]).squeeze()
    there = ~np.isnan(own["sample_interval"].values)
    empty = np.isnan(own["backscatter_r"].values).all(axis=-1) & there
    return int(empty.sum()) == pings


@dataclass(frozen=True)
class Case:
    """A file, words of its repairs, and what the output has."""

    name: str
    words: tuple[str, ...]
    holds: Check
    missing: str | None = None
    output_types: tuple[OutputType, ...] = ("zarr",)


BOTH: tuple[OutputType, ...] = ("zarr", "netcdf")

CASES = (
    Case(
        "ek60_dup_identical_all_channels", ("recorded twice",), lambda g: ping_counts(g) == [10] * 4
    ),
    Case(
        "ek60_dup_identical_one_channel", ("recorded twice",), lambda g: ping_counts(g) == [10] * 4
    ),
    Case(
        "ek80_dup_differing_power",
        ("have the same time",),
        lambda g: (
            ping_counts(g) == [6, 6]
            and np.diff(np.unique(g("Sonar/Beam_group1")["ping_time"].values)).min()
            <= np.timedelta64(4, "us")
        ),
    ),
    Case(
        "ek80_cw_fm_interleaved_cw_with_start_end",
        ("a CW ping among FM pings",),
        lambda g: (
            ping_counts(g) == ping_counts(g, 2) == [3, 3]
            and set(np.unique(g("Sonar/Beam_group1")["transmit_type"].values)) <= {"LFM", "nan"}
        ),
    ),
    Case(
        "ek80_differing_pulse_tables",
        ("PulseDuration of Channel has 5 of 6 values",),
        lambda g: (
            np.isnan(g("Vendor_specific")["pulse_length"].values).sum() == 1
            and 0.002048 in g("Vendor_specific")["pulse_length"].values
        ),
    ),
    Case(
        "ek80_no_environment",
        ("no Environment",),
        lambda g: bool(np.isnan(g("Environment")["sound_speed_indicative"]).all()),
        output_types=BOTH,
    ),
    Case(
        "ek80_env_svp_empty",
        ("SoundVelocityProfile", "no Temperature"),
        lambda g: (
            float(g("Environment")["sound_speed_indicative"].item()) == 1500.0
            and "sound_velocity_profile" not in g("Environment")
        ),
    ),
    Case(
        "ek80_env_decimal_comma",
        ("decimal comma", "no Salinity"),
        lambda g: float(g("Environment")["sound_speed_indicative"].item()) == 1500.5,
    ),
    Case(
        "ek80_impedance_only_in_one",
        ("no Impedance",),
        lambda g: (
            np.nanmin(g("Vendor_specific")["impedance_transceiver"].values) == 10800
            and np.isnan(g("Vendor_specific")["impedance_transceiver"].values).sum() == 1
        ),
        output_types=BOTH,
    ),
    Case(
        "ek80_impedance_float",
        ("Impedance",),
        lambda g: (
            set(g("Vendor_specific")["impedance_transceiver"].values.tolist()) == {10800.0, 10800.5}
        ),
    ),
    Case(
        "ek80_max_power_float",
        ("MaxTxPowerTransceiver",),
        lambda g: (
            'MaxTxPowerTransceiver="1000.0"' in str(g("Vendor_specific")["config_xml"].item())
        ),
    ),
    Case(
        "ek80_no_transducer_serial",
        ("no SerialNumber of Transducer",),
        lambda g: "139" in g("Sonar")["transducer_serial_number"].values,
    ),
    Case(
        "ek80_transducer_custom_name_missing",
        ("no TransducerCustomName",),
        lambda g: ping_counts(g) == [6, 6],
    ),
    Case(
        "ek80_parameter_lacks_slope_later",
        ("no Slope",),
        lambda g: (
            np.isnan(g("Sonar/Beam_group1")["slope"].values).sum()
            - np.isnan(g("Sonar/Beam_group1")["sample_interval"].values).sum()
            == 3
        ),
        output_types=BOTH,
    ),
    Case("ek80_count_zero_power", ("no samples",), lambda g: _no_samples(g, "253665", 1)),
    Case("ek80_count_zero_dt_zero", ("no samples",), lambda g: _no_samples(g, "253665", 1)),
    Case(
        "ek60_mode_change_to_0_passive_zero_count",
        ("no samples",),
        lambda g: (
            _no_samples(g, "38 kHz", 5)
            and int((g("Sonar/Beam_group1")["data_type"].values == 0).sum()) == 5
        ),
    ),
    Case(
        "ek60_zero_count_all_of_a_channel",
        ("no samples",),
        lambda g: _no_samples(g, "38 kHz", 10) and ping_counts(g) == [10] * 4,
        output_types=BOTH,
    ),
    Case(
        "ek80_channel_all_zero_count",
        ("no samples",),
        lambda g: _no_samples(g, "253685", 6) and ping_counts(g) == [6, 6],
        output_types=BOTH,
    ),
    Case(
        "ek80_raw4_some_pings",
        ("no transmit pulse",),
        lambda g: sum(ping_counts(g)) == 12,
        output_types=BOTH,
    ),
    Case(
        "ek60_nmea_inner_nul",
        ("NUL inside an NMEA sentence",),
        lambda g: any("\ufffd" in text for text in g("Platform/NMEA")["NMEA_datagram"].values),
        output_types=BOTH,
    ),
    Case(
        "ek60_nmea_nonascii",
        ("not ASCII",),
        lambda g: not any("\ufffd" in t for t in g("Platform/NMEA")["NMEA_datagram"].values),
        output_types=BOTH,
    ),
    Case(
        "ek60_channel_id_garbage_after_nul",
        ("old text",),
        lambda g: all("old text" not in str(c) for c in g("Sonar/Beam_group1")["channel"].values),
        output_types=BOTH,
    ),
    Case(
        "ek80_channel_id_nonascii",
        ("WBT Tube 253685-15 ES38D Bå",),
        lambda g: (
            all(
                "WBT Tube 253685-15 ES38D Bå" in g(path)["channel"].values
                for path in ("Sonar/Beam_group1", "Platform", "Vendor_specific")
            )
            and "ES38D Bå" in str(g("Vendor_specific")["config_xml"].item())
            and not np.isnan(g("Vendor_specific")["WBT_coeffs_real"].values).all(axis=(1, 2)).any()
        ),
        output_types=BOTH,
    ),
    Case("ek60_spare_backslash", ("spare bytes",), lambda g: ping_counts(g) == [10] * 4),
    Case("ek60_raw0_extra_bytes", (), lambda g: ping_counts(g) == [10] * 4, "160 spare bytes"),
    Case("ek80_raw3_extra_bytes", (), lambda g: ping_counts(g) == [6, 6], "48 spare bytes"),
    Case(
        "ek80_complex_float16",
        ("complex samples of float16",),
        lambda g: (
            ping_counts(g) == [2] * 5
            and float(np.nanmax(np.abs(g("Sonar/Beam_group1")["backscatter_r"].values))) > 1
        ),
        missing="XML0 Sensor",
    ),
    Case(
        "ek80_power_and_complex_together",
        (),
        lambda g: ping_counts(g) == ping_counts(g, 2) == [2] * 5,
        missing="XML0 Sensor",
    ),
    Case(
        "ek80_nmea_first",
        ("before the configuration",),
        lambda g: any("$SDVLW" in t for t in g("Platform/NMEA")["NMEA_datagram"].values),
    ),
    Case("ek60_time_backwards", (), lambda g: ping_counts(g) == [10] * 4),
    Case("ragged60", (), lambda g: g("Sonar/Beam_group1").sizes["range_sample"] > 20_000),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_whole_file_is_converted_with_its_repairs_named(
    case: Case, fleet_files: Path, tmp_path: Path
) -> None:
    for output_type in case.output_types:
        path = fleet_files / "simrad" / f"{case.name}.raw"
        group, manifest = converted(path, tmp_path / output_type, output_type)
        named = json.dumps([entry["what"] for entry in manifest["repairs"]], ensure_ascii=False)
        for words in case.words:
            assert words in named
            assert words in group("Provenance").attrs["conversion_repairs"]
        assert bool(case.words) == bool(manifest["repairs"])
        assert (case.missing or "") in (manifest["missing"] or "")
        assert bool(case.missing) == bool(manifest["missing"])
        assert manifest["engine"]["name"] == "streamed"
        assert case.holds(group)


def test_a_pulse_form_that_echopype_does_not_know_is_named_and_has_a_way_out(
    fleet_files: Path, tmp_path: Path
) -> None:
    path = fleet_files / "simrad" / "ek80_fm_5_FMD.raw"
    with pytest.raises(UnsupportedDatagram, match=r"pulse form 5 \(FMD\)"):
        converted(path, tmp_path)
    group, manifest = converted(path, tmp_path, allow_partial=True)
    assert "pulse form 5 (FMD)" in manifest["missing"]
    assert ping_counts(group) == [6, 6]
    assert set(group("Sonar/Beam_group1")["transmit_type"].values.ravel()) == {"FMD"}


def test_damage_counts_only_whole_pings_before_and_after_it(
    fleet_files: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadFile) as bad:
        converted(fleet_files / "simrad" / "ek80_complex_zero_tail.raw", tmp_path)
    assert "0 pings before, 0 after" in str(bad.value)
    assert "-" not in str(bad.value).partition("hole at")[2].partition("intact")[0]


def test_a_refusal_by_echopype_is_not_damage_and_has_its_text_apart(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import echopype  # noqa: PLC0415 - 3 s

    def refuse(*_: object, **__: object) -> None:
        raise KeyError("SomethingNew")

    monkeypatch.setattr(echopype, "open_raw", refuse)
    with pytest.raises(ConversionFailure) as failure:
        converted(real_data / "ek60" / "D20070724-T042400.raw", tmp_path)
    assert isinstance(failure.value, UnsupportedDatagram)
    assert "SomethingNew" not in str(failure.value)
    assert failure.value.facts()["detail"] == "KeyError: 'SomethingNew'"


def test_check_refuses_what_a_conversion_refuses(fleet_files: Path) -> None:
    refused = {
        path.stem
        for path in (fleet_files / "simrad").glob("*.raw")
        if check(str(path), model=model_of(path)) != DONE
    }
    assert refused == {"ek80_fm_5_FMD", "ek80_complex_zero_tail"}

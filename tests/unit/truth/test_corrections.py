"""The output has the values that the file holds where echopype changes or drops them.

The expected values are read here from the bytes, without the code under test.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import echopype
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from flows.conversion import open_raw, save
from flows.opened_raw import OpenedRaw
from flows.publishing.publication import Skipped
from flows.rawfile import engine
from flows.rawfile.corrections.environments import knots
from flows.rawfile.corrections.platform import add_annotations, position_of
from flows.rawfile.streamed import UnknownLayoutError
from flows.stores.request import ConversionRequest
from tests.damaged_files import datagram_bytes

pytestmark = pytest.mark.filterwarnings("ignore")


class Item(NamedTuple):
    type: bytes
    ticks: int
    body: bytes

    @property
    def time(self) -> np.datetime64:
        return np.datetime64("1601-01-01", "us") + np.timedelta64(self.ticks // 10, "us")


def items(content: bytes) -> Iterator[Item]:
    at = 0
    while at < len(content):
        length, type_, ticks = struct.unpack_from("<i4sQ", content, at)
        yield Item(type_, ticks, content[at + 16 : at + 4 + length])
        at += length + 8


def channel_id(item: Item) -> str:
    return item.body[:128].strip(b"\x00").decode()


def model_of(content: bytes) -> str:
    return "EK60" if content[4:8] == b"CON0" else "EK80"


def opened_raw(path: Path, **options: Any) -> OpenedRaw:
    model = model_of(path.read_bytes()[:8])
    request = ConversionRequest(
        raw_file=str(path), sonar_model=model, output_type="zarr", overwrite=True, **options
    )
    opened = open_raw(request, lambda *_: None)
    assert not isinstance(opened, Skipped)
    return opened


def converted(path: Path, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The published store as echopype opens it, and its manifest."""
    opened = opened_raw(path, output_path=str(folder), **options)
    try:
        saved = save(opened, lambda *_: None)
    finally:
        opened.close()
    assert not isinstance(saved, Skipped)
    return echopype.open_converted(str(folder / f"{path.stem}.zarr")), saved.manifest


@pytest.fixture(scope="module")
def outputs(
    fleet_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Converts a case once for each choice of `corrections`."""
    known: dict[tuple[str, bool], tuple[Any, dict[str, Any]]] = {}

    def output(name: str, *, corrections: bool = True) -> tuple[Any, dict[str, Any]]:
        key = (name, corrections)
        if key not in known:
            path = fleet_files / "simrad" / f"{name}.raw"
            folder = tmp_path_factory.mktemp("out")
            known[key] = converted(path, folder, corrections=corrections)
        return known[key]

    return output


def ping_values(echodata: Any, variable: str) -> list[tuple[str, np.datetime64, float]]:
    """Channel, time to the microsecond and value of each ping, in any order."""
    found: list[tuple[str, np.datetime64, float]] = []
    for name in echodata["Sonar"]["beam_group"].values:
        group = echodata[f"Sonar/{name}"]
        values = group[variable].broadcast_like(group["sample_interval"])
        for channel in group["channel"].values:
            own = values.sel(channel=channel)
            present = ~np.isnan(group["sample_interval"].sel(channel=channel).values)
            times = own["ping_time"].values[present].astype("datetime64[us]")
            found += zip([str(channel)] * times.size, times, own.values[present], strict=True)
    return sorted(found)


def near(ours: list[Any], expected: list[Any]) -> bool:
    """Equal, but for the last digit of times, which echopype rounds."""
    assert len(ours) == len(expected) > 0
    return all(
        a[0] == b[0]
        and abs(a[1] - b[1]) <= np.timedelta64(2, "us")
        and np.array_equal(a[2], b[2], equal_nan=True)
        for a, b in zip(ours, sorted(expected), strict=True)
    )


def by_parameters(content: bytes, attribute: str) -> list[tuple[str, np.datetime64, float]]:
    """The attribute in the Parameter XML before each RAW3."""
    expected, value = [], np.nan
    for item in items(content):
        if item.type == b"XML0" and b"<Parameter" in item.body:
            match = re.search(f' {attribute}="([^"]*)"'.encode(), item.body)
            value = float(match[1]) if match else np.nan
        elif item.type == b"RAW3":
            expected.append((channel_id(item), item.time, value))
    return expected


def by_raw0(content: bytes, at: int) -> list[tuple[str, np.datetime64, float]]:
    """The float at this offset in the body of each RAW0."""
    configuration = next(items(content)).body
    names = [
        configuration[516 + 320 * n :][:128].split(b"\x00")[0].decode()
        for n in range(struct.unpack_from("<i", configuration, 512)[0])
    ]
    return [
        (
            names[struct.unpack_from("<h", item.body)[0] - 1],
            item.time,
            struct.unpack_from("<f", item.body, at)[0],
        )
        for item in items(content)
        if item.type == b"RAW0"
    ]


# File, variable of the Beam groups, and what the bytes hold for each ping.
OF_PINGS: list[tuple[str, str, Callable[[bytes], list[Any]]]] = [
    ("ek80_cw_off_nominal_power", "transmit_frequency_start", lambda c: by_parameters(c, "Frequency")),
    ("ek80_cw_off_nominal_power", "transmit_frequency_stop", lambda c: by_parameters(c, "Frequency")),
    ("ek80_cw_off_nominal_complex", "transmit_frequency_start", lambda c: by_parameters(c, "Frequency")),
    ("ek80_mru1_only", "transmit_frequency_start", lambda c: by_parameters(c, "FrequencyStart")),
    ("ek80_mru1_only", "transmit_frequency_stop", lambda c: by_parameters(c, "FrequencyEnd")),
    ("ek80_sound_velocity_changes", "sound_speed_at_transducer", lambda c: by_parameters(c, "SoundVelocity")),
    ("ek60_depth_changes_midfile", "tx_transducer_depth", lambda c: by_raw0(c, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "variable", "expected"), OF_PINGS)
def test_each_ping_has_its_own_value(
    fleet_files: Path,
    outputs: Any,
    name: str,
    variable: str,
    expected: Callable[[bytes], list[Any]],
) -> None:
    echodata, _ = outputs(name)
    content = (fleet_files / "simrad" / f"{name}.raw").read_bytes()
    assert near(ping_values(echodata, variable), expected(content))


def test_transmit_pulses_of_complex_channels_are_those_of_the_file(
    fleet_files: Path, outputs: Any
) -> None:
    name = "ek80_raw4_complex_channel"
    echodata, _ = outputs(name)
    content = (fleet_files / "simrad" / f"{name}.raw").read_bytes()
    pulses = {
        (channel_id(item), item.time): np.frombuffer(item.body, "<f4", offset=140)
        for item in items(content)
        if item.type == b"RAW4"
    }
    group = echodata["Sonar/Beam_group1"]
    assert len(pulses) == group["channel"].size * group["ping_time"].size
    for (channel, time), expected in pulses.items():
        own = group.sel(channel=channel).sel(ping_time=time, method="nearest")
        count = expected.size // 2
        assert np.array_equal(own["transmit_pulse_r"].values[:count], expected[: 2 * count : 2])
        assert np.array_equal(own["transmit_pulse_i"].values[:count], expected[1 : 2 * count : 2])


def test_motion_and_heading_of_mru1_are_in_platform(fleet_files: Path, outputs: Any) -> None:
    echodata, _ = outputs("ek80_mru1_only")
    content = (fleet_files / "simrad" / "ek80_mru1_only.raw").read_bytes()
    held = [(i.time, *struct.unpack_from("<4f", i.body, 40)) for i in items(content) if i.type == b"MRU1"]  # fmt: skip
    platform = echodata["Platform"]
    for column, name in enumerate(("roll", "pitch", "heading", "vertical_offset"), start=1):
        assert platform[name].dims == ("time2",)
        assert platform[name].values.tolist() == [row[column] for row in held]
    assert np.abs(platform["time2"].values - np.array([row[0] for row in held])).max() <= np.timedelta64(2, "us")  # fmt: skip


@pytest.mark.parametrize("name", ["ek60_nmea_no_fix", "ek60_nmea_only_no_fix", "ek60_nmea_nonascii"])  # fmt: skip
def test_no_position_is_at_zero_north_zero_east(outputs: Any, name: str) -> None:
    echodata, manifest = outputs(name)
    latitude, longitude = (echodata["Platform"][n].values for n in ("latitude", "longitude"))
    assert not (latitude == 0).any()
    assert not (longitude == 0).any()
    box = manifest["contents"]["position_box"]
    assert box is None or (box["south"] > 40 and box["east"] < -71)
    sentences = [str(s) for s in echodata["Platform/NMEA"]["NMEA_datagram"].values]
    located = [s for s in sentences if s[3:6] in {"GGA", "GLL", "RMC"}]
    # Those with a fix are kept.
    assert np.isfinite(latitude).sum() == sum("4015." in s for s in located)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "$GPGGA,042330,4015.7774,N,07113.3358,W,2,08,01.0,24.7,M,-34.6,M,08.0,0007",
            (40.26296, -71.22226),
        ),
        ("$GPGGA,042330,4015.7774,N,07113.3358,W,0,08,01.0,24.7,M,-34.6,M,08.0,0007", None),
        ("$GPGGA,042400.00,,,,,0,00,99.99,,,,,,*66", None),
        ("$GPGGA,042400.00,4015.7,N,,,1,00,99.99,,,,,,*66", None),
        ("$GPGGA", None),
        ("$GPGGA,\ufffd\ufffd,,N", None),
        ("$GPGLL,4015.78,N,07113.34,W", (40.263, -71.22233)),
        ("$GPGLL,4015.78,N,07113.34,W\r\n", (40.263, -71.22233)),
        ("$GPGLL,4015,N,7113.,W", (40.25, -71.21667)),
        ("$GPGLL,4015.78,N,07113.34,W,042330,A,D*4B", (40.263, -71.22233)),
        ("$GPGLL,4015.78,N,07113.34,W,042330,V,N*4B", None),
        ("$GPRMC,042402.00,A,4015.78,S,07113.34,E,,,230707,,,N*73", (-40.263, 71.22233)),
        ("$GPRMC,042402.00,V,4015.78,S,07113.34,E,,,230707,,,N*73", None),
        # A position there is one, if the receiver has a fix.
        ("$GPGLL,0000.00,N,00000.00,E,042330,A,D*4B", (0.0, 0.0)),
    ],
)
def test_a_sentence_has_a_position_if_its_receiver_says_so(
    sentence: str, expected: tuple[float, float] | None
) -> None:
    found = position_of(sentence)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-5))


@pytest.mark.parametrize("name", ["ek60_tag", "ek80_tag"])
def test_annotations_are_kept_with_their_times(fleet_files: Path, outputs: Any, name: str) -> None:
    echodata, _ = outputs(name)
    content = (fleet_files / "simrad" / f"{name}.raw").read_bytes()
    held = [i for i in items(content) if i.type == b"TAG0"]
    platform = echodata["Platform"]
    assert platform["annotation_text"].values.tolist() == [i.body.strip(b"\x00").decode() for i in held]  # fmt: skip
    apart = platform["annotation_time"].values - np.array([i.time for i in held])
    assert np.abs(apart).max() <= np.timedelta64(2, "us")


def test_annotations_of_one_time_stay_in_order_and_apart() -> None:
    time = np.datetime64("2026-01-01", "ns")
    added = add_annotations(xr.Dataset(), np.array([time, time]), ["first", "second"])
    assert added is not None
    assert added[0]["annotation_text"].values.tolist() == ["first", "second"]
    assert np.diff(added[0]["annotation_time"].values).tolist() == [1]


def test_temperature_of_raw0_is_in_environment(fleet_files: Path, outputs: Any) -> None:
    echodata, _ = outputs("ek60_tag")
    content = (fleet_files / "simrad" / "ek60_tag.raw").read_bytes()
    held = by_raw0(content, 48)
    environment = echodata["Environment"]["temperature"]
    assert environment.dims == ("channel", "time1")
    assert environment.size == len(held)
    assert set(environment.values.reshape(-1)) == {value for _, _, value in held}


# File, mode for compute_Sv and compute_TS, and by how many dB the mean of corrected Sv and TS
# differs from that of echopype's values.
CALIBRATED = [
    ("ek80_two_environments", "CW", "power", 0.054, -0.112),
    ("ek80_cw_off_nominal_power", "CW", "power", 0.0, 0.0),
    ("ek80_cw_off_nominal_complex", "CW", "complex", 0.0, 0.0),
    ("ek80_sound_velocity_changes", "CW", "complex", 0.0, 0.0),
    ("ek80_raw4_complex_channel", "BB", "complex", 0.0, 0.0),
    ("ek60_depth_changes_midfile", "CW", "power", 0.0, 0.0),
]


@pytest.mark.parametrize("case", CALIBRATED, ids=[case[0] for case in CALIBRATED])
def test_echopype_calibrates_the_output(
    outputs: Any, case: tuple[str, str, str, float, float]
) -> None:
    name, waveform, encoding, sv, ts = case
    modes = {"waveform_mode": waveform, "encode_mode": encoding} if name.startswith("ek80") else {}
    ours, theirs = (outputs(name, corrections=wanted)[0] for wanted in (True, False))
    for compute, variable, expected in (
        (echopype.calibrate.compute_Sv, "Sv", sv),
        (echopype.calibrate.compute_TS, "TS", ts),
    ):
        change = compute(ours, **modes)[variable] - compute(theirs, **modes)[variable]
        assert float(change.mean()) == pytest.approx(expected, abs=0.001)


def test_a_recipe_calibrates_cw_with_the_transmitted_frequency(outputs: Any) -> None:
    """docs/corrections.md gives it and the dB: echopype itself reads the nominal frequency."""
    echodata, _ = outputs("ek80_cw_off_nominal_power")
    modes = {"waveform_mode": "CW", "encode_mode": "power"}
    calibrate = echopype.calibrate
    nominal = calibrate.compute_Sv(echodata, **modes), calibrate.compute_TS(echodata, **modes)
    beam = echodata["Sonar/Beam_group1"]
    transmitted = beam["transmit_frequency_start"].mean("ping_time")
    echodata["Sonar/Beam_group1"] = beam.assign(frequency_nominal=transmitted)
    own = calibrate.compute_Sv(echodata, **modes), calibrate.compute_TS(echodata, **modes)
    echodata["Sonar/Beam_group1"] = beam
    # Sv has the effective pulse length, too: it depends on the file's filters.
    pulse = 10 * np.log10(own[0]["tau_effective"] / nominal[0]["tau_effective"])
    changes = own[0]["Sv"] - nominal[0]["Sv"] + pulse, own[1]["TS"] - nominal[1]["TS"]
    off = "WBT Tube 253665-15 ES120-7CD"
    for change in changes:
        by_range = change.sel(channel=off).mean("ping_time")
        # 20 log10(105/120), and less absorption the further the echo.
        assert float(by_range[5]) == pytest.approx(-1.17, abs=0.02)
        assert float(by_range[-1]) < float(by_range[5])
        assert float(abs(change.drop_sel(channel=off)).max()) == 0.0


@pytest.mark.parametrize("name", ["ek80_two_environments"])
def test_each_ping_is_calibrated_with_its_own_environment(
    fleet_files: Path, outputs: Any, name: str
) -> None:
    echodata, _ = outputs(name)
    content = (fleet_files / "simrad" / f"{name}.raw").read_bytes()
    expected: dict[np.datetime64, tuple[float, float]] = {}
    for item in items(content):
        if item.type == b"XML0" and b"<Environment" in item.body:
            own = tuple(
                float(re.search(f' {a}="([^"]*)"'.encode(), item.body)[1])  # type: ignore[index]
                for a in ("SoundSpeed", "WaterLevelDraft")
            )
        elif item.type == b"RAW3":
            expected[item.time] = own  # type: ignore[assignment]
    calibrated = echopype.calibrate.compute_Sv(echodata, waveform_mode="CW", encode_mode="power")
    speeds = calibrated["sound_speed"].values
    assert speeds == pytest.approx([speed for speed, _ in expected.values()], abs=1e-9)
    level = echodata["Platform"]["water_level"]
    at_pings = level.sel(time2=calibrated["ping_time"], method="nearest").values
    assert at_pings.tolist() == [level for _, level in expected.values()]


@pytest.mark.parametrize("source", ["2917763601822576513", "EK80_-D20221108-T151353"])
def test_environments_change_for_fm_and_complex_cw_too(
    real_data: Path, tmp_path: Path, source: str
) -> None:
    """An Environment before every second ping, each with another sound speed."""
    content = (real_data / "ek80" / f"{source}.raw").read_bytes()
    parts, speeds, pings = [], [], 0
    for item in items(content):
        if item.type == b"XML0" and b"<Environment" in item.body:
            environment = item.body
        if item.type == b"RAW3":
            if pings % 2 == 0:
                speed = 1480 + pings
                body = re.sub(rb' SoundSpeed="[^"]*" Temp', b' SoundSpeed="%d" Temp' % speed, environment)  # fmt: skip
                parts.append(datagram_bytes(b"XML0", body, item.ticks))
            speeds.append((channel_id(item), item.time, float(speed)))
            pings += 1
        parts.append(datagram_bytes(item.type, item.body, item.ticks))
    path = tmp_path / "changing.raw"
    path.write_bytes(b"".join(parts))
    echodata, manifest = converted(path, tmp_path / "out")
    is_fm = source.startswith("2917")
    modes = {"waveform_mode": "BB" if is_fm else "CW", "encode_mode": "complex"}
    calibrated = echopype.calibrate.compute_Sv(echodata, **modes)
    own = dict(zip(calibrated["ping_time"].values, calibrated["sound_speed"].values, strict=True))
    for _, time, expected in speeds:
        at = min(own, key=lambda t: abs(t - time))
        assert own[at] == pytest.approx(expected, abs=1e-9)
    assert any("Environment" in each["what"] for each in manifest["corrections"])


@given(
    gaps=st.lists(st.integers(1, 10**12), min_size=1, max_size=12),
    states=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    began=st.lists(st.integers(-(10**12), 10**13), min_size=4, max_size=4),
)
def test_linear_interpolation_between_knots_gives_each_ping_its_state(
    gaps: list[int], states: list[int], began: list[int]
) -> None:
    start = np.datetime64("2026-01-01", "ns")
    times = start + np.cumsum(gaps).astype("timedelta64[ns]")
    of_pings = np.array(states[: len(gaps)], np.int64)
    began_at = start + np.array(began).astype("timedelta64[ns]")
    at, found = knots(times, of_pings, began_at)
    assert (np.diff(at).astype(np.int64) > 0).all()
    origin = at[0]
    numbers = np.interp(
        (times - origin).astype(np.int64), (at - origin).astype(np.int64), found.astype(float)
    )
    assert numbers == pytest.approx(of_pings.astype(float), abs=1e-9)


def test_depth_is_that_of_the_file_in_add_depth(outputs: Any) -> None:
    ours, _ = outputs("ek60_depth_changes_midfile")
    calibrated = echopype.calibrate.compute_Sv(ours)
    depth = echopype.consolidate.add_depth(calibrated, ours, use_platform_vertical_offsets=True)
    offset = (depth["depth"] - calibrated["echo_range"]).isel(range_sample=5)
    expected = ours["Sonar/Beam_group1"]["tx_transducer_depth"]
    assert np.allclose(offset.transpose("channel", "ping_time").values, expected.values)
    ours, _ = outputs("ek80_mru1_only")
    calibrated = echopype.calibrate.compute_Sv(ours, waveform_mode="BB", encode_mode="complex")
    for option in ("use_platform_vertical_offsets", "use_platform_angles"):
        depth = echopype.consolidate.add_depth(calibrated, ours, **{option: True})["depth"]
        assert np.isfinite(depth.isel(range_sample=5)).all()


# What the manifest names, with its number of values.
NAMED = [
    ("ek80_cw_off_nominal_power", "transmitted frequency", 6),
    ("ek80_cw_off_nominal_complex", "transmitted frequency", 2),
    ("ek80_two_environments", "Environment that precedes them, not the last", 6),
    ("ek80_two_environments", "water level and drop keel", 6),
    ("ek80_mru1_only", "MRU1", 24),
    ("ek80_raw4_complex_channel", "transmit pulses", 12),
    ("ek80_sound_velocity_changes", "sound speed at the transducer", 20),
    ("ek60_nmea_only_no_fix", "without a fix", 1),
    ("ek60_depth_changes_midfile", "transducer depth of their RAW0", 40),
    ("ek60_depth_changes_midfile", "water level gives", 40),
    ("ek60_tag", "annotations", 1),
    ("ek80_tag", "annotations", 1),
    ("ek80_complex_imag_zero_some", "imaginary parts of exactly 0", 10_000),
]


@pytest.mark.parametrize(("name", "words", "count"), NAMED)
def test_each_correction_is_named_with_its_number(
    outputs: Any, name: str, words: str, count: int
) -> None:
    echodata, manifest = outputs(name)
    counts = [each["count"] for each in manifest["corrections"] if words in each["what"]]
    assert counts == [count]
    assert words in echodata["Provenance"].attrs["conversion_corrections"]
    _, plain = outputs(name, corrections=False)
    assert plain["corrections"] == []
    assert words in plain["missing"]


@pytest.mark.parametrize("name", sorted({name for name, _, _ in NAMED}))
def test_without_corrections_the_values_are_echopypes(
    fleet_files: Path, outputs: Any, name: str
) -> None:
    path = fleet_files / "simrad" / f"{name}.raw"
    ours, _ = outputs(name, corrections=False)
    theirs = echopype.open_raw(str(path), model_of(path.read_bytes()[:8]))
    assert ours.group_paths == theirs.group_paths
    for group in theirs.group_paths:
        if group not in {"Top-level", "Provenance"}:
            xr.testing.assert_equal(theirs[group], ours[group].load())


@pytest.mark.parametrize("how", ["streamed", "whole"])
@pytest.mark.parametrize("name", ["ek60_depth_changes_midfile", "ek80_cw_off_nominal_power", "ek80_raw4_complex_channel"])  # fmt: skip
def test_pings_of_a_damaged_file_have_their_own_values(
    fleet_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    """The third ping is lost; the rest is converted with and without an index."""
    content = bytearray((fleet_files / "simrad" / f"{name}.raw").read_bytes())
    starts, at = [], 0
    while at < len(content):
        length, type_ = struct.unpack_from("<i4s", content, at)
        starts += [at] * (type_ in {b"RAW0", b"RAW3"})
        at += length + 8
    content[starts[2] + 4 : starts[2] + 40] = bytes(36)
    path = tmp_path / "hole.raw"
    path.write_bytes(content)
    if how == "whole":

        def no_index(*_: object) -> None:
            raise UnknownLayoutError("for this test")

        monkeypatch.setattr(engine, "attach_samples", no_index)
    echodata, manifest = converted(path, tmp_path / "out", allow_partial=True)
    assert manifest["engine"]["name"] == how
    intact = (fleet_files / "simrad" / f"{name}.raw").read_bytes()
    if name.startswith("ek60"):
        held, variable = by_raw0(intact, 4), "tx_transducer_depth"
    elif "cw" in name:
        held, variable = by_parameters(intact, "Frequency"), "transmit_frequency_start"
    else:
        first = struct.Struct("<f")
        held = [(channel_id(i), i.time, first.unpack_from(i.body, 140)[0]) for i in items(intact) if i.type == b"RAW4"]  # fmt: skip
        group = echodata["Sonar/Beam_group1"]
        echodata["Sonar/Beam_group1"] = group.assign(first=group["transmit_pulse_r"][..., 0])
        variable = "first"
    del held[2]
    assert near(ping_values(echodata, variable), held)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ek80_cw_off_nominal_power", "ek80_tag"),
        ("ek80_two_environments", "ek80_tag"),
        ("ek60_depth_changes_midfile", "ek60_tag"),
        ("ek80_raw4_complex_channel", "ek80_mru1_only"),
    ],
)
def test_corrected_files_combine_with_others(
    fleet_files: Path, outputs: Any, tmp_path: Path, first: str, second: str
) -> None:
    later = b"".join(
        datagram_bytes(i.type, i.body, i.ticks + 36_000_000_000)
        for i in items((fleet_files / "simrad" / f"{second}.raw").read_bytes())
    )
    path = tmp_path / "later.raw"
    path.write_bytes(later)
    both = echopype.combine_echodata([outputs(first)[0], converted(path, tmp_path / "out")[0]])
    pings = outputs(first)[0]["Sonar/Beam_group1"].sizes["ping_time"]
    assert both["Sonar/Beam_group1"].sizes["ping_time"] > pings
    if second.endswith("tag"):
        assert "annotation_text" in both["Platform"]

"""A written file has exactly the given samples, and echopype reads a plausible sea from it."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import echopype
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flows.walk import preflight
from sandbox.sea.ek60 import POWER_STEP_DB, TRANSCEIVERS, Motion, samples
from sandbox.sea.sample_file import SamplePing, sentences, write_ek60, write_sample

FREQUENCIES = (18_000, 38_000, 70_000, 120_000, 200_000, 333_000)
START = datetime(2024, 2, 29, 23, 59, 58, 500_000, tzinfo=UTC)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_echopype_reads_exactly_the_written_samples(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    channels = data.draw(
        st.lists(st.sampled_from(FREQUENCIES), min_size=1, max_size=4, unique=True)
    )
    shape = (
        len(channels),
        data.draw(st.integers(1, 4), label="pings"),
        data.draw(st.integers(1, 30), label="samples"),
    )
    power = data.draw(arrays.arrays(np.int16, shape))
    angle = data.draw(arrays.arrays(np.int8, (*shape, 2)))
    times = [START + timedelta(seconds=1) * ping for ping in range(shape[1])]
    pings = (
        SamplePing(when, Motion(heave=0.25 * number), [*power[:, number]], [*angle[:, number]])
        for number, when in enumerate(times)
    )
    path = tmp_path_factory.mktemp("written") / "written.raw"
    with path.open("wb") as out:
        write_ek60(out, [TRANSCEIVERS[f] for f in channels], pings, start=START, survey="property")

    echodata = echopype.open_raw(path, "EK60")
    beam = echodata["Sonar/Beam_group1"]
    # echopype sorts channels by name.
    order = [list(beam.frequency_nominal.values).index(f) for f in channels]
    beam = beam.isel(channel=order)
    assert list(beam.frequency_nominal.values) == channels
    np.testing.assert_array_equal(beam.backscatter_r.values, power.astype(float) * POWER_STEP_DB)
    np.testing.assert_array_equal(beam.angle_athwartship.values, angle[..., 0])
    np.testing.assert_array_equal(beam.angle_alongship.values, angle[..., 1])
    written = np.array([t.replace(tzinfo=None) for t in times], dtype="datetime64[ns]")
    assert (np.abs(beam.ping_time.values - written) <= np.timedelta64(2, "us")).all()
    np.testing.assert_array_equal(
        echodata["Platform"].vertical_offset.values, 0.25 * np.arange(shape[1])
    )


@pytest.fixture(scope="module")
def transect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transect") / "transect.raw"
    # More pings than one block has, so that the file has a block boundary.
    write_sample(path, pings=300, seed=3)
    return path


@pytest.fixture(scope="module")
def volume_backscatter(transect: Path) -> Any:
    return echopype.calibrate.compute_Sv(echopype.open_raw(transect, "EK60"))


def test_the_reported_facts_match_the_file(tmp_path: Path) -> None:
    facts = write_sample(tmp_path / "s.raw", pings=7, channels=(70_000, 333_000), samples=50)
    summary = preflight(facts.path, "EK60")
    assert summary.condition == "intact"
    assert summary.bytes_total == facts.bytes == facts.path.stat().st_size
    assert list(summary.pings.values()) == [facts.pings] * 2 == [7, 7]
    assert summary.datagrams == {"CON0": 1, "TAG0": 1, "NME0": 14, "RAW0": 14}
    assert summary.first_time is not None
    assert summary.last_time is not None
    assert summary.last_time - summary.first_time == timedelta(seconds=30)


def test_the_same_arguments_give_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    files = {
        name: write_sample(tmp_path / name, pings=4, samples=60, seed=seed).path.read_bytes()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    }
    assert files["a"] == files["b"] != files["c"]


def test_the_seabed_is_the_strongest_echo_at_the_given_depth(volume_backscatter: Any) -> None:
    for channel in volume_backscatter.channel:
        below_ringing = volume_backscatter.sel(channel=channel).where(
            volume_backscatter.echo_range.sel(channel=channel) > 10
        )
        sv = below_ringing.Sv.values
        loudest = np.nanargmax(sv, axis=1)
        depth = below_ringing.echo_range.values[np.arange(len(sv)), loudest]
        assert np.nanmax(sv, axis=1).min() > -30
        assert 60 < depth.min() < depth.max() < 110
        # Continuous across the block boundary.
        assert np.abs(np.diff(depth)).max() < 5


def test_backscatter_is_plausible_and_the_layer_rises_at_dusk(
    volume_backscatter: Any,
) -> None:
    at_38 = volume_backscatter.isel(channel=1)
    ranges = at_38.echo_range.values[0]
    water = (ranges > 10) & (ranges < 65)
    linear = 10 ** (at_38.Sv.values[:, water] / 10)
    layer = 10 * np.log10(np.sort(linear.mean(axis=0))[-20:])
    assert (layer > -75).all()
    assert (layer < -50).all()
    middle = (linear * ranges[water]).sum(axis=1) / linear.sum(axis=1)
    assert middle[:60].mean() - middle[-60:].mean() > 8


def test_the_ship_moves_at_its_speed_along_its_course(transect: Path) -> None:
    platform = echopype.open_raw(transect, "EK60")["Platform"]
    latitude, longitude = platform.latitude.values, platform.longitude.values
    assert latitude[0] == pytest.approx(57.3, abs=1e-4)
    assert longitude[0] == pytest.approx(1.9, abs=1e-4)
    east = np.diff(longitude[[0, -1]])[0] * 60 * 1852 * np.cos(np.radians(57.3))
    north = np.diff(latitude[[0, -1]])[0] * 60 * 1852
    assert np.hypot(east, north) == pytest.approx(299 * 5 * 9 * 1852 / 3600, rel=0.02)
    assert set(platform.sentence_type.values) == {"GGA", "RMC"}


@pytest.mark.parametrize(("latitude", "longitude"), [(-33.95, -179.99), (0.0, 0.0)])
def test_positions_in_every_hemisphere_are_read_back(
    tmp_path: Path, latitude: float, longitude: float
) -> None:
    path, empty = tmp_path / "s.raw", np.zeros((1, 5), dtype=np.int16)
    nmea = sentences(latitude, longitude, 0.0, START)
    ping = SamplePing(START, Motion(), [*empty], [np.zeros((5, 2), dtype=np.int8)], nmea)
    with path.open("wb") as out:
        write_ek60(out, [TRANSCEIVERS[38_000]], [ping], start=START, survey="positions")
    platform = echopype.open_raw(path, "EK60")["Platform"]
    np.testing.assert_allclose(platform.latitude.values, latitude, atol=1e-5)
    np.testing.assert_allclose(platform.longitude.values, longitude, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"pings": 0}, "at least one ping"),
        ({"channels": ()}, "at least one ping, one channel"),
        ({"samples": 0}, "one sample"),
        ({"channels": (38_001,)}, "no transducer for 38,001 Hz"),
        ({"start": datetime(2024, 1, 1)}, "no time zone"),  # noqa: DTZ001 - the error under test
    ],
)
def test_invalid_arguments_are_rejected_and_leave_no_file(
    tmp_path: Path, arguments: dict[str, Any], cause: str
) -> None:
    with pytest.raises(ValueError, match=cause):
        write_sample(tmp_path / "s.raw", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_write_error_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("sandbox.sea.sample_file.receive", fail)
    with pytest.raises(OSError, match="no space left"):
        write_sample(tmp_path / "s.raw", pings=2, samples=20)
    assert list(tmp_path.iterdir()) == []


def test_samples_of_different_lengths_are_rejected() -> None:
    channel = TRANSCEIVERS[38_000]
    with pytest.raises(ValueError, match="do not fit"):
        samples(1, channel, Motion(), np.zeros(3, dtype=np.int16), np.zeros((2, 2), dtype=np.int8))
    ping = SamplePing(START, Motion(), [], [])
    with pytest.raises(ValueError, match="shorter"):
        write_ek60(io.BytesIO(), [channel], iter([ping]), start=START, survey="none")

"""A grown file repeats the source's pings with later times and has no other data."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import echopype
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.measuring.grow import grow
from flows.walk import preflight
from sandbox.sea.ek60 import datagram
from sandbox.sea.sample_file import write_sample

# NT times count from here.
EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
REAL_FILES = [
    ("ek60/D20070724-T042400.raw", "EK60"),
    ("ek80/EK80_-D20221108-T151353.raw", "EK80"),
    ("ek80/-1519668699940320059.raw", "EK80"),
    ("ek80/2917763601822576513.raw", "EK80"),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.raw"
    write_sample(path, pings=5, samples=40, channels=(38_000, 120_000))
    return path


@pytest.mark.parametrize(("name", "model"), REAL_FILES)
def test_a_real_file_grows_by_complete_copies_that_echopype_reads(
    real_data: Path, tmp_path: Path, name: str, model: str
) -> None:
    source, target = real_data / name, tmp_path / "grown.raw"
    copies = grow(source, target, 3 * source.stat().st_size - 100_000)

    before, after = (
        echopype.open_raw(path, model)["Sonar/Beam_group1"] for path in (source, target)
    )
    pings = before.sizes["ping_time"]
    assert target.stat().st_size >= 3 * source.stat().st_size - 100_000
    assert after.sizes["ping_time"] == copies * pings
    assert list(after.channel.values) == list(before.channel.values)
    assert (np.diff(after.ping_time.values) > np.timedelta64(0)).all()
    assert after.ping_time.values[0] == before.ping_time.values[0]
    for copy in range(copies):
        part = after.isel(ping_time=slice(copy * pings, (copy + 1) * pings))
        for variable in {"backscatter_r", "backscatter_i", "angle_alongship"} & set(before):
            np.testing.assert_array_equal(part[variable].values, before[variable].values)


def test_sensor_sentences_and_parameters_are_repeated_with_their_pings(
    real_data: Path, tmp_path: Path
) -> None:
    source = real_data / "ek80/2917763601822576513.raw"
    grown = tmp_path / "grown.raw"
    copies = grow(source, grown, 4 * source.stat().st_size)
    before, after = (preflight(path, "EK80") for path in (source, grown))

    assert after.condition == "intact"
    assert after.datagrams["MRU0"] == copies * before.datagrams["MRU0"]
    assert after.datagrams["FIL1"] == before.datagrams["FIL1"]
    # The configuration and the environment occur once; the parameters repeat.
    assert after.datagrams["XML0"] == 2 + copies * (before.datagrams["XML0"] - 2)


@settings(max_examples=25, deadline=None)
@given(wanted=st.integers(min_value=0, max_value=60_000))
def test_any_size_is_reached_with_the_fewest_copies(
    sample: Path, tmp_path_factory: pytest.TempPathFactory, wanted: int
) -> None:
    target = tmp_path_factory.mktemp("grown") / "grown.raw"
    copies = grow(sample, target, wanted)
    size = target.stat().st_size
    block = (size - sample.stat().st_size) // max(copies - 1, 1)

    assert size >= wanted
    assert copies == 1 or size - block < wanted
    summary = preflight(target, "EK60")
    assert set(summary.pings.values()) == {5 * copies}
    assert summary.bytes_unaccounted == 0


def test_the_ping_interval_between_copies_is_that_of_the_file(sample: Path, tmp_path: Path) -> None:
    grown = tmp_path / "grown.raw"
    pings = 5 * grow(sample, grown, 50_000)
    summary = preflight(grown, "EK60")
    assert summary.first_time is not None
    assert summary.last_time is not None
    assert summary.last_time - summary.first_time == (pings - 1) * timedelta(seconds=5)


def test_configuration_before_the_pings_is_not_repeated(
    tmp_path: Path,
) -> None:
    datagrams = [
        datagram(b"XML0", EPOCH + timedelta(seconds=1), b"<Configuration/>"),
        datagram(b"NME0", EPOCH + timedelta(seconds=1), b"$GPZDA\0\0"),
        datagram(b"XML0", EPOCH + timedelta(seconds=1), b"<Environment/>"),
        datagram(b"FIL1", EPOCH + timedelta(seconds=1), bytes(8)),
        datagram(b"XML0", EPOCH + timedelta(seconds=2), b"<Parameter/>"),
        datagram(b"RAW3", EPOCH + timedelta(seconds=2), bytes(140)),
        datagram(b"XML0", EPOCH + timedelta(seconds=3), b"<Environment/>"),
    ]
    source = tmp_path / "source.raw"
    source.write_bytes(b"".join(datagrams))
    grow(source, tmp_path / "grown.raw", source.stat().st_size + 1)
    again = [
        datagram(b"XML0", EPOCH + timedelta(seconds=3), b"<Parameter/>"),
        datagram(b"RAW3", EPOCH + timedelta(seconds=3), bytes(140)),
        # After a ping it is repeated with the pings.
        datagram(b"XML0", EPOCH + timedelta(seconds=4), b"<Environment/>"),
    ]
    assert (tmp_path / "grown.raw").read_bytes() == b"".join(datagrams + again)


def test_a_single_ping_grows_too(tmp_path: Path) -> None:
    write_sample(tmp_path / "one.raw", pings=1, samples=10, channels=(38_000,))
    copies = grow(tmp_path / "one.raw", tmp_path / "grown.raw", 5_000)
    summary = preflight(tmp_path / "grown.raw", "EK60")
    assert list(summary.pings.values()) == [copies]
    assert copies > 1
    assert summary.last_time != summary.first_time


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"depth,count\n1,2\n" * 40,
        bytes(5000),
        struct.pack("<i4sQ4si", 16, b"NME0", 1, b"$GP\0", 16),
    ],
)
def test_a_file_of_another_format_is_rejected(tmp_path: Path, contents: bytes) -> None:
    source = tmp_path / "odd.raw"
    source.write_bytes(contents)
    with pytest.raises(ValueError, match="not a whole Simrad raw file") as refusal:
        grow(source, tmp_path / "grown.raw", 10_000)
    assert str(source) in str(refusal.value)
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_without_pings_is_rejected(real_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pings"):
        grow(real_data / "ek60/D20070724-T042400.bot", tmp_path / "grown.raw", 10_000)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_rejected_and_leaves_no_target(
    sample: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    whole = sample.read_bytes()
    at = data.draw(st.integers(min_value=1, max_value=len(whole) - 1), label="cut at")
    last_lengths = len(whole) - 4
    damaged = folder / "damaged.raw"
    if data.draw(st.booleans(), label="truncate"):
        damaged.write_bytes(whole[: min(at, last_lengths)])
    else:
        hole = bytes(len(whole) - at)
        damaged.write_bytes(whole[:at] + hole)
    complete = preflight(damaged, "EK60").condition == "intact"
    if complete:  # cut between two datagrams: a shorter valid file
        return
    with pytest.raises(ValueError, match="not a whole"):
        grow(damaged, folder / "grown.raw", 50_000)
    assert list(folder.iterdir()) == [damaged]


def test_a_file_is_not_grown_onto_itself(sample: Path) -> None:
    before = sample.read_bytes()
    with pytest.raises(ValueError, match="onto itself"):
        grow(sample, sample, 50_000)
    assert sample.read_bytes() == before

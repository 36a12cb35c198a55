"""Samples read from the raw file are bit for bit equal to echopype's."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows import walk
from flows.core.outcomes import OutputMismatch
from flows.corrected_values import imaginary_parts
from flows.publishing.identity import Difference, differences
from flows.rawfile import samples as raw_samples
from flows.rawfile.echopype_reader import open_raw_file
from flows.rawfile.engine import OpenedFile, open_file
from flows.rawfile.parsed_pings import compare_pings
from flows.rawfile.samples import PingSamples
from flows.walk.simrad.fields import ticks_to_times
from tests.damaged_files import datagram_bytes, simrad_datagrams

REAL = (
    "ek60/D20070724-T042400.raw",
    "ek80/EK80_-D20221108-T151353.raw",
    "ek80/-1519668699940320059.raw",
    "ek80/2917763601822576513.raw",
)
SECOND = 10_000_000


def model_of(content: bytes) -> str:
    return "EK60" if content[4:8] == b"CON0" else "EK80"


@contextmanager
def opened(path: Path, folder: Path) -> Iterator[OpenedFile]:
    """The file as opened by a conversion: a link in a separate folder."""
    folder.mkdir(exist_ok=True)
    link = folder / f"raw{path.suffix}"
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    model, name = model_of(path.read_bytes()[:8]), path.name

    def parse(path: Path) -> tuple[Any, list[str]]:
        return open_raw_file(path, model, None, {}, name)

    found = open_file(link, walk.preflight(link, model), parse)
    try:
        yield found
    finally:
        found.close()


def by_echopype(path: Path, folder: Path) -> Any:
    """echopype's EchoData of the intact part of the file."""
    model = model_of(path.read_bytes()[:8])
    summary = walk.preflight(path, model)
    whole = folder / f"echopype{path.suffix}"
    walk.write_whole_part(path, summary, whole)
    echodata, _ = open_raw_file(whole, model, None, {}, path.name)
    return echodata


def without_times_of_conversion(echodata: Any) -> Any:
    provenance = echodata["Provenance"]
    attributes = {k: v for k, v in provenance.attrs.items() if k != "conversion_time"}
    echodata["Provenance"] = provenance.assign_attrs({"conversion_time": ""} | attributes)
    echodata["Provenance"].attrs["conversion_time"] = ""
    return echodata


def found_differences(theirs: Any, ours: Any) -> list[Difference]:
    return differences(without_times_of_conversion(theirs), without_times_of_conversion(ours))


def zeros_as_echopype_has_them(echodata: Any) -> None:
    """Replace imaginary zeros with NaN, the only recorded correction."""
    for name in echodata["Sonar"]["beam_group"].values:
        group = echodata[f"Sonar/{name}"].load()
        for variable in ("backscatter_i", "transmit_pulse_i"):
            if variable in group:
                group[variable] = group[variable].where(group[variable] != 0)
        echodata[f"Sonar/{name}"] = group


def is_lazy(echodata: Any) -> bool:
    groups = [echodata[f"Sonar/{name}"] for name in echodata["Sonar"]["beam_group"].values]
    return all(isinstance(g["backscatter_r"].variable.data, PingSamples) for g in groups)


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_streamed_and_identical(real_data: Path, tmp_path: Path, name: str) -> None:
    theirs = by_echopype(real_data / name, tmp_path)
    with opened(real_data / name, tmp_path / "own") as ours:
        assert ours.engine.name == "streamed"
        assert ours.engine.compared_pings > 0
        assert is_lazy(ours.echodata)
        assert sum(each.zeros() for each in imaginary_parts(ours.echodata)) == 0
        assert found_differences(theirs, ours.echodata) == []


def cases(real_data: Path) -> list[Path]:
    return sorted((real_data.parent / "cases" / "simrad").glob("*.raw"))


# Complex samples of float16, or beside power: echopype reads other numbers, or each ping twice.
READ_BY_US_ALONE = ("ek80_complex_float16", "ek80_power_and_complex_together")


def around_its_longest_ping(path: Path, folder: Path) -> Path:
    """Fifty pings: for each of a thousand, echopype has as many samples as the longest has."""
    content = path.read_bytes()
    starts = [datagram.start for datagram in simrad_datagrams(content)]
    cut = folder / path.name
    cut.write_bytes(content[: starts[1]] + content[starts[1901] : starts[2101]])
    return cut


def test_every_case_ends_as_with_echopype_alone(real_data: Path, tmp_path: Path) -> None:
    found = cases(real_data)
    if not found:
        pytest.skip("no files as fleets produce them beside the real ones")
    streamed = 0
    for case in found:
        path = around_its_longest_ping(case, tmp_path) if case.stem == "ragged60" else case
        summary = walk.preflight(path, model_of(path.read_bytes()[:8]))
        if not summary.convertible:
            continue
        with opened(path, tmp_path / "own") as ours:
            streamed += ours.engine.name == "streamed"
            if ours.repairs or summary.unconverted or path.stem in READ_BY_US_ALONE:
                compare_pings(ours.echodata, summary)
                continue
            theirs = by_echopype(path, tmp_path)
            zeros_as_echopype_has_them(ours.echodata)
            assert found_differences(theirs, ours.echodata) == [], path.name
    assert streamed >= 40


def synthetic_file(content: bytes, pings: list[tuple[int, int, int, int]]) -> bytes:
    """The beginning of a real file with synthetic pings, each (channel, seconds, samples, seed).

    A ping's head and, in EK80's format, its parameters are those of the real file's
    first ping of the channel; its number of samples and their values are not.
    """
    model = model_of(content)
    header = 4 + (84 if model == "EK60" else 152)
    at_channel = slice(16, 18) if model == "EK60" else slice(16, 144)
    datagrams = simrad_datagrams(content)
    first = next(i for i, d in enumerate(datagrams) if d.type in {"RAW0", "RAW3"})
    parameters = [
        i for i, d in enumerate(datagrams[:first]) if b"<Parameter" in content[d.start : d.end]
    ]
    made = [content[d.start : d.end] for d in datagrams[: min([first, *parameters])]]
    heads: dict[bytes, tuple[bytes, bytes]] = {}
    before = b""
    for datagram in datagrams:
        piece = content[datagram.start : datagram.end]
        if datagram.type == "XML0" and b"<Parameter" in piece:
            before = piece
        elif datagram.type in {"RAW0", "RAW3"}:
            heads.setdefault(piece[at_channel], (before, piece[:header]))
    begun = struct.unpack_from("<Q", content, datagrams[first].start + 8)[0]
    known = list(heads.values())
    for channel, seconds, number, seed in pings:
        before, head = known[channel % len(known)]
        ticks = begun + seconds * SECOND
        kind = head[18] & 3 if model == "EK60" else struct.unpack_from("<h", head, 144)[0]
        values = np.random.default_rng(seed)
        body = b""
        for flag in (1, 2):
            if kind & flag:
                body += values.integers(-(2**15), 2**15, number, "<i2").tobytes()
        if kind >> 8:
            body += values.normal(size=number * 2 * (kind >> 8)).astype("<f4").tobytes()
        if before:
            made.append(datagram_bytes(b"XML0", before[16:-4], ticks))
        type_ = b"RAW0" if model == "EK60" else b"RAW3"
        made.append(datagram_bytes(type_, head[16:-4] + struct.pack("<i", number) + body, ticks))
    return b"".join(made)


ping = st.tuples(
    st.integers(0, 4),
    st.integers(0, 40),
    st.sampled_from([1, 2, 3, 7, 7, 7, 50]),
    st.integers(0, 9),
)


@pytest.mark.parametrize("name", REAL)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pings=st.lists(ping, min_size=1, max_size=14, unique_by=lambda p: p[:2]))
def test_synthetic_files_equal_echopype_s_result(
    real_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    pings: list[tuple[int, int, int, int]],
) -> None:
    """Channels that start late, alternate or are missing, unequal counts, a clock that goes back."""
    folder = tmp_path_factory.mktemp("made")
    raw = folder / "made.raw"
    raw.write_bytes(synthetic_file((real_data / name).read_bytes(), pings))
    summary = walk.preflight(raw, model_of(raw.read_bytes()[:8]))
    if summary.repairs:
        # Two pings of a channel have one time: echopype drops one, or fails.
        with opened(raw, folder / "own") as ours:
            assert ours.engine.name == "streamed"
            compare_pings(ours.echodata, summary)
        return
    theirs = by_echopype(raw, folder)
    with opened(raw, folder / "own") as ours:
        assert ours.engine.name == "streamed"
        zeros_as_echopype_has_them(ours.echodata)
        assert found_differences(theirs, ours.echodata) == []


def test_a_sample_that_is_read_from_the_wrong_place_is_found(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts_of = raw_samples.layouts_of

    def shifted(index: Any, part: Any) -> raw_samples.Layouts:
        found = layouts_of(index, part)
        return replace(found, start=found.start + 2) if part == "power" else found

    monkeypatch.setattr(raw_samples, "layouts_of", shifted)
    with (
        pytest.raises(OutputMismatch, match="backscatter_r of channel GPT"),
        opened(real_data / REAL[0], tmp_path / "own"),
    ):
        pass


def test_echopype_opens_the_whole_file_for_an_unknown_layout(
    real_data: Path, tmp_path: Path
) -> None:
    content = (real_data / REAL[2]).read_bytes()
    parts: list[bytes] = []
    for datagram in simrad_datagrams(content):
        piece = content[datagram.start : datagram.end]
        if datagram.type == "RAW3":
            # Transmit pulses of two sectors.
            body = piece[16:144] + struct.pack("<h2sii", 2 << 8 | 8, b"", 0, 10) + bytes(160)
            ticks = struct.unpack_from("<Q", piece, 8)[0]
            parts.append(datagram_bytes(b"RAW4", body, ticks))
        parts.append(piece)
    path = tmp_path / "pulses.raw"
    path.write_bytes(b"".join(parts))
    with opened(path, tmp_path / "own") as found:
        assert found.engine.name == "whole"
        assert found.engine.reason is not None
        assert "transmit pulses" in found.engine.reason
        assert found.engine.compared_pings == 0
        compare_pings(found.echodata, walk.preflight(path, "EK80"))


@pytest.mark.parametrize("name", REAL)
def test_regions_are_those_of_the_whole_variable(
    real_data: Path, tmp_path: Path, name: str
) -> None:
    """xarray indexes the samples in many ways; each reads the same values."""
    with opened(real_data / name, tmp_path / "own") as ours:
        for number in ours.echodata["Sonar"]["beam_group"].values:
            group = ours.echodata[f"Sonar/{number}"]
            lazy = group["backscatter_r"]
            whole = lazy.copy(data=np.asarray(lazy.variable.data))
            for select in (
                {"channel": 0},
                {"ping_time": [0, -1]},
                {"range_sample": slice(3, 9), "channel": slice(0, 1)},
                {"range_sample": slice(None, None, 5)},
                {"ping_time": slice(2, 2)},
            ):
                xr.testing.assert_equal(lazy.isel(select), whole.isel(select))
            assert float(lazy.max()) == float(whole.max())
            assert (lazy + 1).equals(whole + 1)
            reindexed = lazy.reindex(channel=lazy["channel"].values[::-1])
            assert reindexed.equals(whole.reindex(channel=lazy["channel"].values[::-1]))


def test_zero_imaginary_parts_are_kept_and_counted(real_data: Path, tmp_path: Path) -> None:
    content = bytearray((real_data / REAL[1]).read_bytes())
    ping = next(d for d in simrad_datagrams(bytes(content)) if d.type == "RAW3")
    for sample in range(20):
        struct.pack_into("<f", content, ping.start + 156 + sample * 32 + 4, 0.0)
    path = tmp_path / "zeros.raw"
    path.write_bytes(bytes(content))
    with opened(path, tmp_path / "own") as ours:
        assert sum(each.zeros() for each in imaginary_parts(ours.echodata)) == 20
        theirs = by_echopype(path, tmp_path)
        assert {d.variable for d in found_differences(theirs, ours.echodata)} == {"backscatter_i"}


def test_times_are_those_of_the_index(real_data: Path, tmp_path: Path) -> None:
    """The index and echopype turn the file's times into the same nanoseconds."""
    path = real_data / REAL[0]
    summary = walk.preflight(path, "EK60")
    assert summary.samples is not None
    ticks = [
        struct.unpack_from("<Q", path.read_bytes(), d.start + 8)[0]
        for d in simrad_datagrams(path.read_bytes())
        if d.type == "RAW0"
    ]
    assert (summary.samples.times == ticks_to_times(np.array(ticks))).all()
    with opened(path, tmp_path / "own") as ours:
        read = ours.echodata["Sonar/Beam_group1"]["ping_time"].values
        assert set(read.tolist()) == set(summary.samples.times.tolist())


def test_power_that_holds_the_fill_value_is_stored_wider(real_data: Path, tmp_path: Path) -> None:
    content = bytearray((real_data / REAL[0]).read_bytes())
    ping = next(d for d in simrad_datagrams(bytes(content)) if d.type == "RAW0")
    struct.pack_into("<h", content, ping.start + 88 + 40, -(2**15))
    path = tmp_path / "low.raw"
    path.write_bytes(bytes(content))
    with opened(path, tmp_path / "own") as ours:
        data = ours.echodata["Sonar/Beam_group1"]["backscatter_r"].variable.data
        assert isinstance(data, PingSamples)
        packing = data.packing()
        assert packing is not None
        assert packing.stored == np.dtype("int32")
        assert packing.fill == -(2**31)
    with opened(real_data / REAL[0], tmp_path / "other") as ours:
        packing = ours.echodata["Sonar/Beam_group1"]["backscatter_r"].variable.data.packing()
        assert packing.stored == np.dtype("int16")

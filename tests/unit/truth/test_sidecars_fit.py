"""A `.bot` or `.idx` is of its raw file or is left out, and may prove that pings are lost."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import echopype
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from flows.core.outcomes import BadFile, BadSidecar
from flows.publishing.publication import Published
from flows.rawfile.sidecars.fit import column_channels, time_fit
from tests.conversions import converted
from tests.damaged_files import EK60, EK80, datagram_bytes, simrad_datagrams
from tests.unit.truth.edited_files import datagrams_of

DEPTHS = "detected_seafloor_depth"


def vendor_of(done: Published) -> xr.Dataset:
    with xr.open_datatree(done.output, engine="zarr") as tree:
        return tree["Vendor_specific"].to_dataset().load()


def copied(fleet_files: Path, name: str, folder: Path) -> Path:
    for suffix in (".raw", ".bot"):
        shutil.copyfile(fleet_files / "simrad" / f"{name}{suffix}", folder / f"D{suffix}")
    return folder / "D.raw"


def test_each_channel_has_its_own_depth(fleet_files: Path, tmp_path: Path) -> None:
    done = converted(copied(fleet_files, "bot_order", tmp_path), tmp_path, "EK80")
    vendor = vendor_of(done)
    found = {
        str(channel): float(vendor[DEPTHS].sel(channel=channel)[0])
        for channel in vendor["channel"].values
    }
    # The file has as depth of each channel its frequency in kHz.
    assert found == {
        "WBT 743367-15 ES18": 18,
        "WBT 743366-15 ES38B": 38,
        "WBT 549762-15 ES70-7C": 70,
        "WBT 743869-15 ES120-7C": 120,
        "WBT 545612-15 ES200-7C": 200,
    }
    (correction,) = [c for c in done.manifest["corrections"] if DEPTHS in c["what"]]
    assert correction["count"] == 7 * 5
    assert done.manifest["missing"] is None or "BOT0" not in done.manifest["missing"]


@pytest.mark.parametrize("spelling", ["utf-8", "latin-1", "utf-8-sig", "text behind a NUL"])
def test_each_channel_has_its_depth_however_the_configuration_is_written(
    spelling: str, real_data: Path, tmp_path: Path
) -> None:
    old, new = b"253685-15 ES38D", "253685-15 BÅ38D".encode()
    if spelling == "latin-1":
        new = new.decode().encode("latin-1")
    parts: list[bytes] = []
    depths: list[bytes] = []
    for file in datagrams_of((real_data / EK80).read_bytes()):
        # In the XML, and in the fields of pings and filters, which a NUL ends.
        body = file.body.replace(old.ljust(30, b"\0"), new.ljust(30, b"\0")).replace(old, new)
        if file.type == b"RAW3":
            depths.append(datagram_bytes(b"BOT0", struct.pack("<i2d", 2, 38, 120), file.ticks))
        if not parts:
            body = b"\xef\xbb\xbf" * (spelling == "utf-8-sig") + body
            body += b"\0old text>" * (spelling == "text behind a NUL")
            first = datagram_bytes(file.type, body, file.ticks)
        parts.append(datagram_bytes(file.type, body, file.ticks))
    raw = tmp_path / "D.raw"
    raw.write_bytes(b"".join(parts))
    raw.with_suffix(".bot").write_bytes(b"".join([first, *dict.fromkeys(depths)]))
    done = converted(raw, tmp_path, "EK80")
    vendor = vendor_of(done)
    for channel in vendor["channel"].values:
        expected = 38 if "BÅ38D" in str(channel) else 120
        assert (vendor[DEPTHS].sel(channel=channel) == expected).all(), channel
    assert "BÅ38D" in str(vendor["channel"].values)
    assert done.manifest["missing"] is None


@pytest.mark.parametrize("kind", ["bot", "idx"])
def test_a_longer_sidecar_shows_that_the_raw_file_was_cut(
    kind: str, fleet_files: Path, tmp_path: Path
) -> None:
    raw = copied(fleet_files, "cut_by_bot", tmp_path)
    if kind == "idx":
        raw.with_suffix(".bot").rename(tmp_path / "as.bot")
        bot = (tmp_path / "as.bot").read_bytes()
        spans = simrad_datagrams(bot)
        times = [struct.unpack_from("<Q", bot, span.start + 8)[0] for span in spans[1:]]
        index = [datagram_bytes(b"IDX0", bytes(32), ticks) for ticks in times]
        raw.with_suffix(".idx").write_bytes(bot[: spans[0].end] + b"".join(index))
    with pytest.raises(BadFile) as failure:
        converted(raw, tmp_path)
    assert "18 pings from 2007-07-24T04:24:22Z to 2007-07-24T04:24:39Z are not in the file" in str(
        failure.value
    )
    assert failure.value.preflight is not None
    assert failure.value.preflight["condition"] == "truncated"
    done = converted(raw, tmp_path, allow_partial=True)
    assert "18 pings from 2007-07-24T04:24:22Z" in done.manifest["missing"]
    assert done.manifest["preflight"]["condition"] == "truncated"
    assert done.manifest["contents"]["pings"] == {"Sonar/Beam_group1": 18}
    if kind == "bot":
        assert vendor_of(done).sizes["ping_time"] == 36


def test_a_bottom_of_another_clock_does_not_make_the_file_a_bad_one(
    real_data: Path, tmp_path: Path
) -> None:
    raw, bot = tmp_path / "D.raw", (real_data / EK60).with_suffix(".bot").read_bytes()
    shutil.copyfile(real_data / EK60, raw)
    shifted = bytearray(bot)
    for span in simrad_datagrams(bot):
        (ticks,) = struct.unpack_from("<Q", bot, span.start + 8)
        struct.pack_into("<Q", shifted, span.start + 8, ticks + 10_000_000)
    raw.with_suffix(".bot").write_bytes(shifted)
    done = converted(raw, tmp_path)
    # Nothing shows that the file has lost pings, so `missing` does not say that either.
    assert "4 times of a sidecar (2007-07-24T04:24:01Z" in done.manifest["missing"]
    assert "pings from" not in done.manifest["missing"]
    assert {f["name"]: f["value"] for f in done.manifest["quality"]}["lost_pings"] == 0
    assert done.manifest["preflight"]["condition"] == "intact"


def test_pings_cut_out_of_the_middle_are_shown_too(real_data: Path, tmp_path: Path) -> None:
    raw, content = tmp_path / "D.raw", (real_data / EK60).read_bytes()
    shutil.copyfile((real_data / EK60).with_suffix(".bot"), tmp_path / "D.bot")
    pings = [span for span in simrad_datagrams(content) if span.type == "RAW0"]
    raw.write_bytes(content[: pings[40].start] + content[pings[48].start :])
    with pytest.raises(
        BadFile, match="datagrams were cut out between two whole datagrams: 2 pings"
    ):
        converted(raw, tmp_path)


def test_a_cut_between_the_channels_of_the_last_ping_is_shown_too(
    real_data: Path, tmp_path: Path
) -> None:
    raw, content = tmp_path / "D.raw", (real_data / EK60).read_bytes()
    shutil.copyfile((real_data / EK60).with_suffix(".bot"), tmp_path / "D.bot")
    pings = [span for span in simrad_datagrams(content) if span.type == "RAW0"]
    raw.write_bytes(content[: pings[-2].start])
    with pytest.raises(BadFile, match="1 ping from 2007-07-24T04:24:39Z"):
        converted(raw, tmp_path)


def test_a_sidecar_of_another_day_is_never_merged(fleet_files: Path, tmp_path: Path) -> None:
    raw = copied(fleet_files, "other_bot", tmp_path)
    beside = raw.with_suffix(".bot")
    cause = (
        f"sidecar {beside} is left out because it is not of this file: it is from "
        "2007-08-23T04:24:00Z to 2007-08-23T04:24:39Z, the file from "
        "2007-07-24T04:24:00Z to 2007-07-24T04:24:39Z"
    )
    done = converted(raw, tmp_path)
    assert done.manifest["missing"] == cause
    assert DEPTHS not in vendor_of(done)
    with pytest.raises(BadSidecar, match="is not of this file"):
        converted(raw, tmp_path, overwrite=True, convert_params={"bot_path": str(beside)})


def test_a_sidecar_of_another_sounder_is_never_merged(fleet_files: Path, tmp_path: Path) -> None:
    raw = copied(fleet_files, "other_bot", tmp_path)
    shutil.copyfile(fleet_files / "simrad" / "bot_order.bot", tmp_path / "D.bot")
    missing = converted(raw, tmp_path).manifest["missing"]
    assert "is not of this file: none of its channels pings in the file" in missing


def test_a_bottom_of_more_channels_than_ping_is_no_fault_of_the_file(
    fleet_files: Path, tmp_path: Path
) -> None:
    done = converted(copied(fleet_files, "bot_less60", tmp_path), tmp_path)
    vendor = vendor_of(done)
    depths = {
        str(c).split()[1]: float(vendor[DEPTHS].sel(channel=c)[0]) for c in vendor["channel"].values
    }
    assert depths == {"38": 38, "120": 120, "200": 200}
    assert done.manifest["preflight"]["condition"] == "intact"


def test_a_bottom_whose_columns_fit_no_channels_is_left_out(
    real_data: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / EK60, raw)
    bot = (real_data / EK60).with_suffix(".bot").read_bytes()
    spans = simrad_datagrams(bot)
    shorter = [
        datagram_bytes(
            b"BOT0",
            struct.pack("<i2d", 2, 1.0, 2.0),
            struct.unpack_from("<Q", bot, span.start + 8)[0],
        )
        for span in spans[1:]
    ]
    raw.with_suffix(".bot").write_bytes(bot[: spans[0].end] + b"".join(shorter))
    missing = converted(raw, tmp_path).manifest["missing"]
    assert "its BOT0 have 2 columns, and 4 channels ping" in missing


def test_the_variables_are_those_of_echopype(real_data: Path, tmp_path: Path) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / EK60, raw)
    shutil.copyfile((real_data / EK60).with_suffix(".bot"), raw.with_suffix(".bot"))
    bot = raw.with_suffix(".bot").read_bytes()
    spans = simrad_datagrams(bot)
    index = [
        datagram_bytes(
            b"IDX0",
            struct.pack("<IdddI", n, n / 4, 42 + n, -66 - n, 9 * n),
            struct.unpack_from("<Q", bot, span.start + 8)[0],
        )
        for n, span in enumerate(spans[1:])
    ]
    raw.with_suffix(".idx").write_bytes(bot[: spans[0].end] + b"".join(index))
    theirs = echopype.open_raw(str(raw), "EK60", include_bot=True, include_idx=True)
    done = converted(raw, tmp_path, compact=False)
    ours = vendor_of(done)
    order = [str(channel) for channel in theirs["Vendor_specific"]["channel"].values]
    # echopype's columns are in the order of the alphabet, the file's in that of its transceivers.
    columns = ["GPT  18", "GPT  38", "GPT 120", "GPT 200"]
    for row, channel in enumerate(columns):
        name = next(full for full in order if full.startswith(channel))
        assert np.array_equal(
            ours[DEPTHS].sel(channel=name), theirs["Vendor_specific"][DEPTHS][row], equal_nan=True
        )
    assert ours[DEPTHS].attrs == theirs["Vendor_specific"][DEPTHS].attrs
    assert np.array_equal(ours["ping_time"], theirs["Vendor_specific"]["ping_time"])
    with xr.open_datatree(done.output, engine="zarr") as tree:
        platform = tree["Platform"].to_dataset().load()
    for name in [str(name) for name in theirs["Platform"].data_vars if str(name).endswith("_idx")]:
        variable = theirs["Platform"][name]
        assert np.array_equal(platform[name], variable), name
        assert platform[name].dtype == variable.dtype, name
        assert platform[name].attrs == variable.attrs, name


@pytest.mark.parametrize("model", ["ES70"])
def test_a_bottom_of_a_model_that_echopype_takes_none_for_is_used(
    model: str, real_data: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / EK60, raw)
    shutil.copyfile((real_data / EK60).with_suffix(".bot"), raw.with_suffix(".bot"))
    done = converted(raw, tmp_path, model)
    assert [s["kind"] for s in done.manifest["sidecars"]] == ["bot"]
    assert np.isfinite(vendor_of(done)[DEPTHS]).any()


seconds = st.lists(st.integers(0, 10_000), max_size=40)


def at(values: list[int]) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    return np.datetime64("2026-01-01", "ns") + np.array(values, "timedelta64[s]")


@given(pings=seconds, extra=seconds)
def test_times_of_all_pings_and_more_show_exactly_the_others(
    pings: list[int], extra: list[int]
) -> None:
    fit = time_fit(at(pings + extra), [at(pings), at(pings[1:])])
    if pings:
        assert fit.is_of_this_file
        # The second channel lacks a ping somewhere: at its end that is a lost ping, too.
        cut = {pings[0]} if pings[0] == max(pings) else set()
        found = set(fit.without_ping.tolist())
        assert found - set(at(list(cut)).tolist()) == set(
            at(list(set(extra) - set(pings) - cut)).tolist()
        )


@given(pings=seconds, own=seconds)
def test_a_subset_of_the_pings_shows_nothing(pings: list[int], own: list[int]) -> None:
    subset = at([second for second in own if second in pings])
    assert not time_fit(subset, [at(pings)]).without_ping.size
    assert time_fit(at(own), []).is_of_this_file


CUTS = [
    # What, times of two channels, and of the sidecar's times those without a ping.
    ("one channel lacks the last ping", [1, 2, 3, 4], [1, 2, 3], [4]),
    ("channels ping in turn", [1, 3], [2, 4], []),
    ("a channel pings at every second time", [1, 2, 3, 4], [1, 3], []),
    ("a channel pings once", [1, 2, 3, 4], [1], []),
    ("both lack the last ping", [1, 2, 3], [1, 2, 3], [4]),
    ("both lack a ping in the middle", [1, 2, 4], [1, 2, 4], [3]),
]


def test_as_many_pings_without_a_time_are_no_proof_of_lost_pings() -> None:
    """A `.bot` that is stamped by another clock does not make a whole file a damaged one."""
    own = at([1, 2, 3, 5, 6, 7])
    for pings, is_proof in (
        ([1, 2, 4, 5, 6, 7], False),
        ([1, 2, 5, 6], True),
        ([1, 2, 3], True),
        # As many pings without a time, but elsewhere: the sidecar lacks some, too.
        ([0, 1, 2, 3, 5, 6], True),
        ([1, 2, 5, 6, 7, 8], True),
        # All times are one later than those of the pings.
        ([0, 1, 2, 4, 5, 6], False),
    ):
        fit = time_fit(own, [at(pings)])
        assert fit.without_ping.size
        assert fit.is_proof is is_proof


@pytest.mark.parametrize(("one", "other", "lost"), [c[1:] for c in CUTS], ids=[c[0] for c in CUTS])
def test_lost_pings_of_each_channel_are_found(
    one: list[int], other: list[int], lost: list[int]
) -> None:
    fit = time_fit(at([1, 2, 3, 4]), [at(one), at(other)])
    assert fit.without_ping.tolist() == at(lost).tolist()


COLUMNS = [
    (3, "ABC", "ABC", "ABC"),
    (3, "CAB", "ABC", "CAB"),
    (2, "CAB", "AC", "CA"),
    (3, "CAB", "AC", "CAB"),
    (1, "CAB", "AC", None),
    (4, "CAB", "ABC", None),
]


@pytest.mark.parametrize(("columns", "configured", "pinging", "found"), COLUMNS)
def test_columns_follow_the_order_of_the_configuration(
    columns: int, configured: str, pinging: str, found: str | None
) -> None:
    expected = None if found is None else tuple(found)
    assert column_channels(columns, tuple(configured), set(pinging)) == expected

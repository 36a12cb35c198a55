"""Facts about the quality of a recording: right on edited files, silent on good ones."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from echodrop.command_line import app
from flows.conversion import OpenedRaw, open_raw
from flows.publishing.manifest import manifest_schema
from flows.publishing.recording.name_times import time_in_name
from flows.publishing.recording.quality import (
    QualityFact,
    alarms,
    changed,
    passive_share,
    unpositioned,
    walk_facts,
)
from flows.walk import preflight
from flows.walk.summary import FileSummary
from tests.conversions import request_for
from tests.damaged_files import simrad_datagrams

GOOD = [
    ("ek60/D20070724-T042400.raw", "EK60", None),
    ("ek60/D20070724-T042400.raw", "ES70", None),
    ("ek80/-1519668699940320059.raw", "EK80", None),
    ("ek80/2917763601822576513.raw", "EK80", None),
    ("ek80/EK80_-D20221108-T151353.raw", "EK80", None),
    ("azfp/15100520-Test.01A", "AZFP", "azfp/15100804.XML"),
    ("azfp6/20090314_01A.azfp", "AZFP6", None),
    ("ad2cp/SG198_0099_a.ad2cp", "AD2CP", None),
]


def quality_of(raw: Path, model: str, folder: Path, xml: Path | None = None) -> dict[str, Any]:
    """The facts of an opened file by name."""
    request = request_for(raw, folder, model, xml_path=xml)
    opened = open_raw(request, lambda _stage, _done: None)
    assert isinstance(opened, OpenedRaw)
    opened.close()
    return {fact["name"]: fact for fact in opened.recorded["quality"]}


@pytest.mark.parametrize(("name", "model", "xml"), GOOD)
def test_a_good_file_has_no_alarm(
    name: str, model: str, xml: str | None, real_data: Path, tmp_path: Path
) -> None:
    facts = quality_of(real_data / name, model, tmp_path, real_data / xml if xml else None)
    assert alarms(list(facts.values())) == []
    assert {"clock_backwards", "lost_pings", "duplicate_pings"} <= facts.keys()
    required = set(manifest_schema()["properties"]["quality"]["items"]["required"])
    assert all(set(fact) == required for fact in facts.values())


# Edited files, the only alarms that they have, and their values.
EDITED = [
    ("ek60_time_backwards", "EK60", {"clock_backwards": 1}),
    ("ek60_dup_identical_all_channels", "EK60", {"duplicate_pings": 4}),
    ("ek60_dup_identical_one_channel", "EK60", {"duplicate_pings": 1}),
]


@pytest.mark.parametrize(("name", "model", "expected"), EDITED)
def test_an_edited_file_has_its_alarm(
    name: str, model: str, expected: dict[str, float], fleet_files: Path
) -> None:
    path = fleet_files / f"simrad/{name}.raw"
    facts = walk_facts(preflight(path, model), name=path.name)
    assert {fact.name: fact.value for fact in facts if fact.is_alarm} == expected


def with_ping_settings(raw: bytes, at: int, patch: bytes, first: int) -> bytes:
    """EK60 file with bytes of each RAW0 changed from ping `first` on."""
    edited = bytearray(raw)
    for span in [span for span in simrad_datagrams(raw) if span.type == "RAW0"][first:]:
        edited[span.start + at : span.start + at + len(patch)] = patch
    return bytes(edited)


# Offsets in a RAW0 with its leading length: power 28, pulse length 32, transmit mode 72.
RAW0_EDITS = [
    ("power_changes", 28, np.float32(123).tobytes(), 1),
    ("pulse_length_changes", 32, np.float32(0.000512).tobytes(), 1),
    ("passive_share", 72, (1).to_bytes(2, "little"), 0.5),
]


@pytest.mark.parametrize(("name", "at", "patch", "value"), RAW0_EDITS)
def test_a_setting_that_changes_in_mid_file_is_an_alarm(  # noqa: PLR0917 - a table's columns and fixtures
    name: str, at: int, patch: bytes, value: float, real_data: Path, tmp_path: Path
) -> None:
    content = (real_data / GOOD[0][0]).read_bytes()
    raw = tmp_path / "D20070724-T042400.raw"
    raw.write_bytes(with_ping_settings(content, at, patch, 72))
    facts = quality_of(raw, "EK60", tmp_path)
    assert [name for name, fact in facts.items() if fact["alarm"]] == [name]
    assert facts[name]["value"] == value


def test_a_file_with_a_wrong_clock_or_without_positions_has_an_alarm(
    real_data: Path, fleet_files: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "D20080724-T042400.raw"
    raw.write_bytes((real_data / GOOD[0][0]).read_bytes())
    (fact,) = [f for f in quality_of(raw, "EK60", tmp_path).values() if f["alarm"]]
    assert (fact["name"], round(fact["value"] / 86_400)) == ("clock_from_name", 366)
    nowhere = fleet_files / "simrad/ek60_nmea_only_no_fix.raw"
    facts = quality_of(nowhere, "EK60", tmp_path)
    assert [name for name, fact in facts.items() if fact["alarm"]] == ["unpositioned"]


NAMES = [
    ("D20070724-T042400.raw", "2007-07-24T04:24:00"),
    ("EK80_-D20221108-T151353.raw", "2022-11-08T15:13:53"),
    ("survey-20190822_161221.raw", "2019-08-22T16:12:21"),
    ("2019-08-22_16-12-21.raw", "2019-08-22T16:12:21"),
    ("15100520.01A", "2015-10-05T20:00:00"),
    ("20090314_01A.azfp", "2020-09-03T14:00:00"),
    ("-1519668699940320059.raw", None),
    ("D20071340-T042400.raw", None),
    ("SG198_0099_a.ad2cp", None),
    ("", None),
]


@pytest.mark.parametrize(("name", "time_"), NAMES)
def test_the_time_in_a_name(name: str, time_: str | None) -> None:
    assert time_in_name(name) == (None if time_ is None else np.datetime64(time_, "s"))


def summary_of(times: Any, **changes: Any) -> FileSummary:
    number = int(times.size)
    fields: dict[str, Any] = {
        "file": "D.raw", "sonar_model": "EK60", "found": "EK60", "condition": "intact",
        "damage": None, "datagrams": {}, "pings": {"c": number}, "pings_unusable": 0,
        "first_time": None, "last_time": None, "bytes_total": 1, "bytes_unaccounted": 0,
        "last_good_byte": 1, "last_good_ping": None, "damages": (), "second_file": None,
        "unsupported": None, "refused": {}, "left_out": {}, "unconverted": (), "notes": (), "convertible": True,
        "whole": (), "ping_times": {"c": times},
    }  # fmt: skip
    return FileSummary(**{**fields, **changes})


def facts_of(seconds: Any, found: str = "EK60") -> dict[str, QualityFact]:
    offsets = (np.asarray(seconds, dtype=np.float64) * 1e9).astype("timedelta64[ns]")
    times = np.datetime64("2026-01-01", "ns") + offsets
    return {fact.name: fact for fact in walk_facts(summary_of(times, found=found), name="D.raw")}


RATES = [
    ("a steady rate", np.arange(100.0), 1.0, False),
    ("a pause of five intervals", [0, 5, 6, 7, 8, 9], 5.0, False),
    ("a gap of an hour", [0, 1, 2, 3, 3603, 3604, 3605], 3600.0, True),
    ("bursts", [s + 600 * b for b in range(5) for s in range(20)], 1.0, False),
    ("bursts and a gap", [s + 600 * b for b in (0, 1, 2, 3, 9) for s in range(20)], 3581.0, True),
]


@pytest.mark.parametrize(
    ("seconds", "ratio", "is_alarm"), [r[1:] for r in RATES], ids=[r[0] for r in RATES]
)
def test_gaps_are_those_of_no_schedule(seconds: Any, ratio: float, *, is_alarm: bool) -> None:
    fact = facts_of(seconds)["ping_gap"]
    assert (fact.value, fact.is_alarm) == (ratio, is_alarm)


@pytest.mark.parametrize(("found", "is_alarm"), [("EK60", True), ("AD2CP", False)])
def test_two_bursts_are_a_gap_unless_the_instrument_records_in_bursts(
    found: str, *, is_alarm: bool
) -> None:
    seconds = [s + 600 * b for b in range(2) for s in range(20)]
    assert facts_of(seconds, found)["ping_gap"].is_alarm == is_alarm


@given(st.lists(st.integers(0, 1000), max_size=50))
def test_clock_and_duplicates_are_counted(seconds: list[int]) -> None:
    facts = facts_of(seconds)
    back = sum(b < a for a, b in itertools.pairwise(seconds))
    assert facts["clock_backwards"].value == back
    assert facts["duplicate_pings"].value == len(seconds) - len(set(seconds))


SEQUENCES = [
    ("no change", [1, 1, 1, 1], 0),
    ("one change", [1] * 50 + [2] * 50, 1),
    ("two modes in turn", [1, 2] * 50, 0),
    ("a passive ping", [1, 1, 0, 1, 1], 0),
    ("no values", [np.nan] * 4, 0),
]


@pytest.mark.parametrize(
    ("values", "number"), [s[1:] for s in SEQUENCES], ids=[s[0] for s in SEQUENCES]
)
def test_settings_change_in_mid_file(values: list[float], number: int) -> None:
    array = np.array(values, dtype=np.float64)
    fact = changed("power_changes", "the power", {"c": array}, {"c": array == 0})
    assert fact.value == number
    assert fact.is_alarm == bool(number)


def test_passive_pings_and_positions_have_no_value_without_pings() -> None:
    nothing = np.empty(0, "datetime64[ns]")
    assert passive_share({}) is None
    assert unpositioned(nothing, nothing, expected=True) is None


def test_facts_of_60_000_pings_take_no_time() -> None:
    begin = time.process_time()
    facts_of(np.arange(60_000.0))
    assert time.process_time() - begin < 1


def test_check_prints_the_facts(fleet_files: Path) -> None:
    path = str(fleet_files / "simrad/ek60_time_backwards.raw")
    printed = CliRunner().invoke(app, ["check", path, "--json"])
    document = json.loads(printed.stdout)
    assert document["condition"] == "intact"
    (fact,) = [fact for fact in document["quality"] if fact["alarm"]]
    assert fact["name"] == "clock_backwards"
    assert (printed.exit_code, fact["threshold"]) == (0, 0)
    shown = CliRunner().invoke(app, ["check", path]).stdout
    assert "quality" in shown
    assert "the clock goes back" in shown

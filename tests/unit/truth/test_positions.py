"""The manifest's box contains every good position, and nothing that is not one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.publishing.recording.positions import (
    TRACK_POINTS,
    narrowest_box,
    simplified,
    track_of,
)
from tests.conversions import converted

latitudes = st.floats(-90, 90, allow_nan=False)
longitudes = st.floats(-180, 180, allow_nan=False)


def width(west: float, east: float) -> float:
    return east - west + (360 if west > east else 0)


def contains(box: dict[str, float], latitude: float, longitude: float) -> bool:
    west, east = box["west"], box["east"]
    inside = west <= longitude <= east if west <= east else longitude >= west or longitude <= east
    return inside and box["south"] <= latitude <= box["north"]


@given(st.lists(st.tuples(latitudes, longitudes), min_size=1))
def test_the_box_has_every_position_and_is_the_narrower_of_the_two(
    positions: list[tuple[float, float]],
) -> None:
    latitude, longitude = (np.array(each) for each in zip(*positions, strict=True))
    box = narrowest_box(latitude, longitude)
    assert box is not None
    assert all(contains(box, *position) for position in positions)
    eastward = np.where(longitude < 0, longitude + 360, longitude)
    narrower = min(np.ptp(longitude), np.ptp(eastward))
    assert width(box["west"], box["east"]) == pytest.approx(narrower, abs=1e-9)


BOXES = [
    ([179.0, 179.9, -179.9, -179.0], 179.0, -179.0),
    ([-179.0, 179.0], 179.0, -179.0),
    ([-10.0, 10.0], -10.0, 10.0),
    ([180.0, -179.0], 180.0, -179.0),
    ([-180.0], -180.0, -180.0),
    ([170.0, 175.0], 170.0, 175.0),
    ([-175.0, -170.0], -175.0, -170.0),
]


@pytest.mark.parametrize(("track", "west", "east"), BOXES)
def test_a_box_crosses_the_antimeridian_if_the_track_does(
    track: list[float], west: float, east: float
) -> None:
    box = narrowest_box(np.zeros(len(track)) + 5, np.array(track))
    assert box is not None
    assert (box["west"], box["east"]) == (west, east)


def at_seconds(number: int, step: float = 1.0) -> Any:
    return np.datetime64("2026-01-01", "ns") + (np.arange(number) * step * 1e9).astype(
        "timedelta64[ns]"
    )


@given(st.data())
def test_jumps_and_fixes_without_a_position_do_not_stretch_the_box(data: st.DataObject) -> None:
    number = data.draw(st.integers(5, 60))
    north = 50 + np.cumsum(np.full(number, 1e-4))
    east = data.draw(st.floats(-179, 179)) + np.cumsum(np.full(number, 1e-4))
    spoiled = data.draw(
        st.dictionaries(
            st.integers(0, number - 1),
            st.sampled_from([(0.0, 0.0), (np.nan, np.nan), (-50.0, 20.0), (91.0, 0.0)]),
            max_size=(number - 1) // 4,
        )
    )
    latitude, longitude = north.copy(), east.copy()
    for row, position in spoiled.items():
        latitude[row], longitude[row] = position
    track = track_of(at_seconds(number), latitude, longitude)
    good = np.array([row not in spoiled for row in range(number)])
    # The longest run may be between two jumps, but every fix of the track is reachable from it.
    assert track.good.tolist() == good.tolist()
    jumps = sum(position == (-50.0, 20.0) for position in spoiled.values())
    assert (track.fixes, track.jumps, track.no_fix) == (number, jumps, len(spoiled) - jumps)
    assert track.box == narrowest_box(north[good], east[good])


TRACKS = [
    # What, latitudes, longitudes, seconds between them: good, no fix, jumps.
    ("a ship at 10 m/s", [50, 50.0001], [5, 5.0], 1.0, (2, 0, 0)),
    ("two sentences of one second", [50, 50.00001], [5, 5.0], 0.001, (2, 0, 0)),
    ("a day between two fixes", [50, 52], [5, 5], 86_400.0, (2, 0, 0)),
    ("on the equator, and on the meridian", [0, 0], [5, 5.0001], 1.0, (2, 0, 0)),
    ("null island", [0, 0, 0], [0, 0, 0], 1.0, (0, 3, 0)),
    ("a jump at the beginning", [-50, 50, 50, 50], [5, 5, 5, 5], 1.0, (3, 0, 1)),
    ("a jump at the end", [50, 50, 50, -50], [5, 5, 5, 5], 1.0, (3, 0, 1)),
    ("across the antimeridian", [50, 50], [179.99999, -179.99999], 1.0, (2, 0, 0)),
    ("nothing", [], [], 1.0, (0, 0, 0)),
]


@pytest.mark.parametrize(
    ("north", "east", "step", "counts"), [t[1:] for t in TRACKS], ids=[t[0] for t in TRACKS]
)
def test_fixes_are_counted(
    north: list[float], east: list[float], step: float, counts: tuple[int, int, int]
) -> None:
    latitude, longitude = (np.array(each, dtype=np.float64) for each in (north, east))
    track = track_of(at_seconds(len(north), step), latitude, longitude)
    assert (int(track.good.sum()), track.no_fix, track.jumps) == counts


@given(
    turns=st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=120),
    start=st.floats(-180, 180),
)
def test_the_simplified_track_has_the_ends_and_leaves_no_far_point_out(
    turns: list[tuple[float, float]], start: float
) -> None:
    north, east = np.cumsum(np.array(turns), axis=0).T / 4
    longitude = (east + start + 180) % 360 - 180
    line = simplified(north, longitude)
    assert 1 <= len(line) <= TRACK_POINTS
    ends = [[round(float(longitude[n]), 5), round(float(north[n]), 5)] for n in (0, -1)]
    assert line[0] == ends[0]
    assert line[-1] == ends[1] or len(line) == 1
    if len(line) < TRACK_POINTS:
        scale = np.cos(np.radians(north.mean()))
        kept = np.array(line)
        x = np.unwrap(np.concatenate([[longitude[0]], kept[:, 0]]), period=360)[1:] * scale
        flat = x + 1j * kept[:, 1]
        points = np.unwrap(longitude, period=360) * scale + 1j * north
        begins = flat[:-1] if flat.size > 1 else flat
        steps = np.diff(flat) if flat.size > 1 else np.zeros(1)
        length = np.where(np.abs(steps) > 0, np.abs(steps) ** 2, 1)
        share = np.clip(((points[:, None] - begins) * steps.conj()).real / length, 0, 1)
        away = np.abs(points[:, None] - begins - share * steps).min(axis=1)
        assert away.max() < 2e-4


def test_a_straight_track_is_two_points_and_a_mooring_one() -> None:
    along = np.linspace(0, 1, 1000)
    assert simplified(along + 50, 179.5 + along - 360 * (along > 0.5)) == [
        [179.5, 50],
        [-179.5, 51],
    ]
    assert simplified(np.full(9, 50.0), np.full(9, 5.0)) == [[5, 50]]
    assert simplified(np.array([]), np.array([])) == []


def contents_of(raw: Path, folder: Path) -> dict[str, Any]:
    contents: dict[str, Any] = converted(raw, folder).manifest["contents"]
    return contents


def test_the_box_of_a_track_across_the_antimeridian(fleet_files: Path, tmp_path: Path) -> None:
    contents = contents_of(fleet_files / "simrad/ek60_antimeridian.raw", tmp_path)
    box, track = contents["position_box"], contents["positions"]["track"]
    assert {longitude > 0 for longitude, _ in track} == {True, False}
    assert box["west"] > box["east"]
    assert width(box["west"], box["east"]) < 1


# No sentence without a fix stretches the box; with none at all there is no box.
@pytest.mark.parametrize(("name", "boxes"), [("ek60_nmea_no_fix", 1), ("ek60_nmea_only_no_fix", 0)])
def test_sentences_without_a_fix_are_counted_and_left_out(
    name: str, boxes: int, fleet_files: Path, tmp_path: Path
) -> None:
    contents = contents_of(fleet_files / f"simrad/{name}.raw", tmp_path)
    box, positions = contents["position_box"], contents["positions"]
    assert (box is not None) == bool(boxes)
    assert positions["no_fix"] > 0
    assert positions["fixes"] == positions["good"] + positions["no_fix"] + positions["jumps"]
    if boxes:
        assert box["north"] - box["south"] < 1
        assert width(box["west"], box["east"]) < 1

"""The good positions of a track and the box around them. Pure: arrays in, values out."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.walk.summary import Times

# No survey ship, uncrewed vessel or glider is faster (m/s, 97 knots).
FASTEST = 50.0
# Metres that two fixes may differ beside that: rounding, and sentences that were received late.
SLACK = 1000.0
_EARTH_RADIUS = 6_371_000.0
# The track in the manifest: at most so many points, none closer to the line through the others (degrees of latitude).
TRACK_POINTS = 40
_TRACK_TOLERANCE = 1e-4

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class TrackFixes:
    """The fixes of a track.

    Attributes:
        no_fix: those without a position: NaN, outside of the globe, or exactly 0 N 0 E.
        jumps: those that nothing could have reached from the others.
        good: which fixes are neither (bool, one for each).
        box: degrees, in GeoJSON's order of corners; None without a good fix.
        line: the track of the good fixes, simplified: [longitude, latitude] in degrees, in the order of time.
    """

    fixes: int
    no_fix: int
    jumps: int
    good: Bools
    box: dict[str, float] | None
    line: list[list[float]]

    def as_json(self, source: str) -> dict[str, Any]:
        """The manifest's `positions`; `source` is the name of the latitude's variable."""
        return {
            "source": source,
            "fixes": self.fixes,
            "good": int(self.good.sum()),
            "no_fix": self.no_fix,
            "jumps": self.jumps,
            "track": self.line,
        }


def track_of(times: Times, latitude: Floats, longitude: Floats) -> TrackFixes:
    """The good fixes of a track.

    Args:
        times: datetime64[ns], one for each fix, in the order of the file.
        latitude: degrees.
        longitude: degrees, -180 to 180.
    """
    has_fix = np.abs(latitude) <= 90
    has_fix &= np.abs(longitude) <= 180
    has_fix &= (latitude != 0) | (longitude != 0)
    rows = np.flatnonzero(has_fix)
    kept = rows[_reachable(times[rows], latitude[rows], longitude[rows])]
    good = np.zeros(latitude.size, dtype=bool)
    good[kept] = True
    return TrackFixes(
        fixes=int(latitude.size),
        no_fix=int(latitude.size - rows.size),
        jumps=int(rows.size - kept.size),
        good=good,
        box=narrowest_box(latitude[good], longitude[good]),
        line=simplified(latitude[good], longitude[good]),
    )


def _reachable(times: Times, latitude: Floats, longitude: Floats) -> Bools:
    """Which fixes can be reached, one from the other, with the speed of a ship.

    The longest run of such fixes is taken for the track; from there outward, in both
    directions, a fix belongs to it if it can be reached from the last one that does.
    """
    good = np.ones(latitude.size, dtype=bool)
    breaks = np.flatnonzero(~_can_reach(times, latitude, longitude))
    if not breaks.size:
        return good
    edges = np.concatenate([[0], breaks + 1, [latitude.size]])
    longest = int(np.diff(edges).argmax())
    for step, start, stop in ((1, longest + 1, edges.size - 1), (-1, longest - 1, -1)):
        last = int(edges[longest + 1]) - 1 if step > 0 else int(edges[longest])
        for run in range(start, stop, step):
            first, final = int(edges[run]), int(edges[run + 1]) - 1
            near, far = (first, final) if step > 0 else (final, first)
            pair = np.array([last, near])
            if _can_reach(times[pair], latitude[pair], longitude[pair])[0]:
                last = far
            else:
                good[first : final + 1] = False
    return good


def _can_reach(times: Times, latitude: Floats, longitude: Floats) -> Bools:
    """Whether a ship can go from each fix to the next (bool, one element less than the fixes)."""
    seconds = np.abs(np.diff(times) / np.timedelta64(1, "s"))
    north, east = np.radians(latitude), np.radians(longitude)
    haversine = (
        np.sin(np.diff(north) / 2) ** 2
        + np.cos(north[1:]) * np.cos(north[:-1]) * np.sin(np.diff(east) / 2) ** 2
    )
    metres = 2 * _EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(haversine, 0, 1)))
    # Without both times, nothing is known about the speed.
    reachable: Bools = ~(metres > FASTEST * np.nan_to_num(seconds, nan=np.inf) + SLACK)
    return reachable


def narrowest_box(latitude: Floats, longitude: Floats) -> dict[str, float] | None:
    """The box around positions in degrees; None without positions.

    It crosses the antimeridian if that makes it narrower; then west is greater than
    east, as in GeoJSON (RFC 7946, section 5.2) and STAC.
    """
    if not latitude.size:
        return None
    west, east = float(longitude.min()), float(longitude.max())
    eastern, western = longitude[longitude >= 0], longitude[longitude < 0]
    if eastern.size and western.size:
        across = float(eastern.min()), float(western.max())
        if across[1] + 360 - across[0] < east - west:
            west, east = across
    return {
        "west": west,
        "south": float(latitude.min()),
        "east": east,
        "north": float(latitude.max()),
    }


def simplified(latitude: Floats, longitude: Floats) -> list[list[float]]:
    """At most `TRACK_POINTS` of a track's positions: those that are farthest from the line through the others.

    Source: D. H. Douglas and T. K. Peucker, 1973, with the farthest point of the whole line first.

    Args:
        latitude: degrees, without NaN.
        longitude: degrees, -180 to 180; the track may cross the antimeridian.

    Returns:
        [longitude, latitude] in degrees with five decimals (1 m), in the order of the track.
    """
    if not latitude.size:
        return []
    # A flat map in degrees of latitude, without a step at the antimeridian.
    east = np.unwrap(longitude, period=360) * np.cos(np.radians(latitude.mean()))
    track = east + 1j * latitude
    kept, spans = {0, track.size - 1}, [_farthest(track, 0, track.size - 1)]
    while spans and len(kept) < TRACK_POINTS:
        negative, first, at, last = heapq.heappop(spans)
        if -negative < _TRACK_TOLERANCE:
            break
        kept.add(at)
        heapq.heappush(spans, _farthest(track, first, at))
        heapq.heappush(spans, _farthest(track, at, last))
    if len(kept) == 2 and abs(track[-1] - track[0]) < _TRACK_TOLERANCE:
        kept = {0}
    return [[round(float(longitude[n]), 5), round(float(latitude[n]), 5)] for n in sorted(kept)]


def _farthest(track: NDArray[np.complex128], first: int, last: int) -> tuple[float, int, int, int]:
    """The point between two that is farthest from the line between them: minus its distance, and all three."""
    between = track[first + 1 : last] - track[first]
    if not between.size:
        return 0.0, first, first, last
    step = track[last] - track[first]
    share = np.clip((between * step.conj()).real / (abs(step) ** 2 or 1.0), 0, 1)
    distance = np.abs(between - share * step)
    at = int(distance.argmax())
    return -float(distance[at]), first, first + 1 + at, last

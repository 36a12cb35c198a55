"""Where the platform was: depth of the transducers, positions and distance, the sea floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.products.sv.panels import Floats, Panel, Times
from flows.publishing.contents import positions_of

_EARTH_RADIUS = 6_371_000.0
METRES_A_MILE = 1852.0
#: Pings farther in time from a fix have no position.
_LONGEST_GAP = np.timedelta64(300, "s")


def transducer_depths(echodata: Any, panel: Panel) -> Floats | None:  # noqa: ANN401 - echopype ships no types
    """Depth in m of a panel's transducer below the surface at each of its pings.

    Computed as echopype's `add_depth` does: transducer_offset_z - (water_level +
    vertical_offset). The heave counts only where the draft is known: all-zero offsets
    are those that nobody entered. None if the draft is unknown, or not below the surface.
    """
    platform = echodata["Platform"]
    names = ("transducer_offset_z", "water_level")
    if platform is None or not set(names) <= set(platform.variables):
        return None
    if any("channel" in platform[name].dims for name in names):
        named = np.flatnonzero(platform["channel"].values.astype(str) == panel.channel_id)
        if not named.size:
            return None
        # A channel of two beam groups may be there twice.
        platform = platform.isel(channel=int(named[0]))
    offset, level = (platform[name] for name in names)
    draft = offset.values.astype(np.float64) - level.values.astype(np.float64)
    depth = np.zeros(panel.pings.size)
    if draft.ndim == 0:
        depth += draft
    else:
        time = next(each for each in (offset, level) if each.dims)
        depth += _nearest(panel.times, time[time.dims[0]].values, draft)
    if not np.isfinite(depth).all() or not (depth > 0).any() or (depth < 0).any():
        return None
    if "vertical_offset" in platform and platform["vertical_offset"].ndim == 1:
        heave = platform["vertical_offset"]
        values = _nearest(panel.times, heave[heave.dims[0]].values, heave.values)
        depth -= np.nan_to_num(values)
    return depth


def sea_floor(echodata: Any, panel: Panel) -> Floats | None:  # noqa: ANN401 - as above
    """Depth in m of the sea floor of the `.bot` at each ping; NaN where it was not found."""
    vendor = echodata["Vendor_specific"]
    if "detected_seafloor_depth" not in vendor or not panel.pings.size:
        return None
    found = vendor["detected_seafloor_depth"]
    if panel.channel_id not in found["channel"].values.astype(str):
        return None
    values = found.sel(channel=panel.channel_id).values.astype(np.float64)
    times = vendor["ping_time"].values
    pings = echodata[panel.group]["ping_time"].values
    line = values[panel.pings] if np.array_equal(times, pings) else _at(panel.times, times, values)
    line = np.where(line > 0, line, np.nan)
    return line if np.isfinite(line).any() else None


class PlatformTrack:
    """The positions of a recording.

    Attributes:
        times: of the good fixes (n).
        latitude: degrees (n).
        longitude: degrees, continuous across the antimeridian (n).
    """

    def __init__(self, echodata: Any) -> None:  # noqa: ANN401 - as above
        found = positions_of(echodata["Platform"])
        self.times: Times = np.empty(0, "datetime64[ns]")
        self.latitude = self.longitude = self._metres = np.empty(0)
        if found is None or found.track.box is None or np.isnat(found.times).any():
            return
        platform = echodata["Platform"]
        good = found.track.good
        # Sentences of several kinds differ by their rounding, which would add up in the distance.
        if "sentence_type" in platform and platform["sentence_type"].size == good.size:
            kinds, counts = np.unique(platform["sentence_type"].values[good], return_counts=True)
            good = good & (platform["sentence_type"].values == kinds[counts.argmax()])
        order = np.argsort(found.times[good], kind="stable")
        self.times = found.times[good][order]
        east = platform[found.source.replace("latitude", "longitude")].values
        self.latitude = np.atleast_1d(platform[found.source].values)[good][order]
        self.longitude = np.rad2deg(np.unwrap(np.deg2rad(np.atleast_1d(east)[good][order])))
        north, east = np.radians(self.latitude), np.radians(self.longitude)
        haversine = (
            np.sin(np.diff(north) / 2) ** 2
            + np.cos(north[1:]) * np.cos(north[:-1]) * np.sin(np.diff(east) / 2) ** 2
        )
        steps = 2 * _EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(haversine, 0, 1)))
        self._metres = np.concatenate([[0.0], np.cumsum(steps)])

    def at(self, times: Times) -> tuple[Floats, Floats]:
        """Latitude and longitude (-180 to 180) at each time; NaN far from any fix."""
        longitude = (self._between(times, self.longitude) + 180) % 360 - 180
        return self._between(times, self.latitude), longitude

    def miles(self, times: Times) -> Floats:
        """Nautical miles sailed since the first of these times; NaN far from any fix."""
        metres = self._between(times, self._metres)
        return (metres - np.nanmin(metres, initial=np.inf)) / METRES_A_MILE

    def _between(self, times: Times, values: Floats) -> Floats:
        if not self.times.size:
            return np.full(times.size, np.nan)
        known, wanted = (t.astype("datetime64[ns]").astype(np.int64) for t in (self.times, times))
        found = np.interp(wanted, known, values)
        near = known[np.clip(np.searchsorted(known, wanted), 0, known.size - 1)]
        before = known[np.clip(np.searchsorted(known, wanted) - 1, 0, known.size - 1)]
        gap = np.minimum(np.abs(near - wanted), np.abs(before - wanted))
        return np.where(gap <= _LONGEST_GAP / np.timedelta64(1, "ns"), found, np.nan)


def _nearest(wanted: Times, times: Times, values: Floats) -> Floats:
    """The value of the nearest time."""
    if not times.size:
        return np.full(wanted.size, np.nan)
    order = np.argsort(times, kind="stable")
    known = times[order]
    right = np.clip(np.searchsorted(known, wanted), 0, known.size - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.where(np.abs(wanted - known[left]) <= np.abs(known[right] - wanted), left, right)
    return np.asarray(values, np.float64)[order[nearer]]


def _at(wanted: Times, times: Times, values: Floats) -> Floats:
    """The value of the same time; NaN where there is none."""
    by_time = dict(zip(times.astype(np.int64).tolist(), values.tolist(), strict=True))
    return np.array([by_time.get(t, np.nan) for t in wanted.astype(np.int64).tolist()])

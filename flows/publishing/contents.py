"""The contents of an EchoData for the manifest: dimensions, ping times, channels, positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.publishing.recording.positions import TrackFixes, track_of
from flows.walk.summary import Times

if TYPE_CHECKING:
    import xarray as xr
    from echopype.echodata import EchoData


def groups_of(echodata: EchoData) -> dict[str, xr.Dataset]:
    """Group path without leading slash ("" for the root) -> dataset."""
    tree = echodata._tree  # noqa: SLF001 - echopype has no public API for all groups
    return {node.path.strip("/"): node.to_dataset() for node in tree.subtree}


def contents_of(echodata: EchoData) -> dict[str, Any]:
    """The manifest's `contents`: JSON values only.

    `position_box` is in degrees around the good fixes, west and south first, west greater
    than east if it crosses the antimeridian, or None without positions; times are ISO
    8601 in UTC with nanoseconds.
    """
    groups = groups_of(echodata)
    positions = positions_of(groups.get("Platform"))
    beams = {name: group for name, group in groups.items() if name.startswith("Sonar/Beam_group")}
    return {
        "dimensions": {
            name or "/": {str(dim): int(size) for dim, size in group.sizes.items()}
            for name, group in groups.items()
        },
        "channels": sorted(
            {
                str(channel)
                for group in beams.values()
                if "channel" in group
                for channel in group["channel"].values
            }
        ),
        "frequencies": _frequencies(list(beams.values())),
        "pings": {
            name: int(group.sizes["ping_time"])
            for name, group in beams.items()
            if "ping_time" in group.sizes
        },
        "time_range": _time_range(list(beams.values())),
        "position_box": positions.track.box if positions else None,
        "positions": positions.track.as_json(positions.source) if positions else None,
    }


def _frequencies(beams: list[xr.Dataset]) -> dict[str, float]:
    """Nominal frequency in Hz of each channel that has one."""
    found: dict[str, float] = {}
    for group in beams:
        nominal = group.get("frequency_nominal")
        if nominal is not None and nominal.dims == ("channel",) and "channel" in group:
            pairs = zip(group["channel"].values, nominal.values, strict=True)
            found |= {str(channel): float(hertz) for channel, hertz in pairs if np.isfinite(hertz)}
    return found


def _time_range(beams: list[xr.Dataset]) -> dict[str, str] | None:
    times = [group["ping_time"].values for group in beams if "ping_time" in group]
    known = [found for values in times if (found := values[~np.isnat(values)]).size]
    if not known:
        return None
    first = min(values.min() for values in known)
    last = max(values.max() for values in known)
    return {"first": f"{first}Z", "last": f"{last}Z"}


# Latitudes of the Platform group, with their longitudes: NMEA sentences, MRU1 datagrams, `.idx`.
_POSITIONS = (
    ("latitude", "longitude"),
    ("latitude_mru1", "longitude_mru1"),
    ("latitude_idx", "longitude_idx"),
)


@dataclass(frozen=True)
class Positions:
    """The track of a recording: its fixes, their times, and the variable that has them."""

    source: str
    times: Times
    track: TrackFixes


def positions_of(platform: xr.Dataset | None) -> Positions | None:
    """The track of the first source with a good fix, else of the first; None without a source."""
    found: list[Positions] = []
    for north, east in _POSITIONS:
        if platform is None or not {north, east} <= set(platform.variables):
            continue
        latitude, longitude = platform[north], platform[east]
        # Older echopype and products of it have one value without a time.
        times = (
            latitude[latitude.dims[0]].values
            if latitude.dims and latitude.dims[0] in latitude.coords
            else np.full(latitude.size, "NaT", dtype="datetime64[ns]")
        )
        values = [np.atleast_1d(each.values).astype(np.float64) for each in (latitude, longitude)]
        if not np.issubdtype(times.dtype, np.datetime64):
            times = np.full(latitude.size, "NaT", dtype="datetime64[ns]")
        found.append(Positions(north, times, track_of(times, *values)))
    return next((each for each in found if each.track.box), found[0] if found else None)

"""The contents of an EchoData for the manifest: dimensions, ping times, channels, positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    from echopype.echodata import EchoData


def groups_of(echodata: EchoData) -> dict[str, xr.Dataset]:
    """Group path without leading slash ("" for the root) -> dataset."""
    tree = echodata._tree  # noqa: SLF001 - echopype has no public API for all groups
    return {node.path.strip("/"): node.to_dataset() for node in tree.subtree}


def contents_of(echodata: EchoData) -> dict[str, Any]:
    """The manifest's `contents`: JSON values only.

    `position_box` is in degrees, west and south first, or None without positions;
    times are ISO 8601 in UTC with nanoseconds.
    """
    groups = groups_of(echodata)
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
        "pings": {
            name: int(group.sizes["ping_time"])
            for name, group in beams.items()
            if "ping_time" in group.sizes
        },
        "time_range": _time_range(list(beams.values())),
        "position_box": _position_box(groups.get("Platform")),
    }


def _time_range(beams: list[xr.Dataset]) -> dict[str, str] | None:
    times = [group["ping_time"].values for group in beams if "ping_time" in group]
    known = [found for values in times if (found := values[~np.isnat(values)]).size]
    if not known:
        return None
    first = min(values.min() for values in known)
    last = max(values.max() for values in known)
    return {"first": f"{first}Z", "last": f"{last}Z"}


def _position_box(platform: xr.Dataset | None) -> dict[str, float] | None:
    if platform is None or not {"latitude", "longitude"} <= set(platform.variables):
        return None
    latitude = platform["latitude"].values
    longitude = platform["longitude"].values
    if not (np.isfinite(latitude).any() and np.isfinite(longitude).any()):
        return None
    return {
        "west": float(np.nanmin(longitude)),
        "south": float(np.nanmin(latitude)),
        "east": float(np.nanmax(longitude)),
        "north": float(np.nanmax(latitude)),
    }

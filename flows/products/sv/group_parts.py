"""What echopype's calibration needs of one beam group, for all of its channels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr


class GroupParts:
    """One beam group of an output.

    Attributes:
        model: the sonar model.
        attributes: of the whole output.
        samples: its sample variables, not loaded.
        beam: the group without samples.
        environment: of the whole output, its channels in the group's order.
        vendor: the same.
    """

    def __init__(self, echodata: Any, group: str) -> None:  # noqa: ANN401 - echopype ships no types
        self.model: str = echodata.sonar_model
        self.attributes = echodata["Top-level"].attrs
        beam = echodata[group]
        # Not the coordinates that come from the group above.
        inherited = {"beam_group", "beam_group_index", "channel_all"} & set(beam.coords)
        other = {name for name in beam if str(name).startswith(("angle_a", "transmit_pulse"))}
        beam = beam.drop_vars(inherited | other)
        self.samples: dict[str, xr.Variable] = {
            str(name): values.variable
            for name, values in beam.data_vars.items()
            if "range_sample" in values.dims
        }
        self.beam: xr.Dataset = beam.drop_dims("range_sample")
        environment, vendor = echodata["Environment"], echodata["Vendor_specific"]
        self.environment: xr.Dataset
        self.vendor: xr.Dataset
        self.environment, self.vendor = (
            each.sel(channel=beam["channel"]) if "channel" in each.dims else each
            for each in (environment, vendor)
        )

    def water_by_ping(self, channel: int) -> dict[str, xr.DataArray]:
        """What of the water has several times, as echopype interpolates it to the group's pings.

        Of this channel alone: (channel, ping_time) or (ping_time).
        """
        if self.environment.sizes.get("time1", 1) == 1:
            return {}
        from echopype.calibrate.env_params import harmonize_env_param_time  # noqa: PLC0415 - seconds

        times = self.beam["ping_time"]
        is_same = np.array_equal(self.environment["time1"].values, times.values)
        found: dict[str, xr.DataArray] = {}
        for name, whole in self.environment.data_vars.items():
            own = set(whole.dims)
            if whole.dtype.kind not in "fiu" or not {"time1"} <= own <= {"time1", "channel"}:
                continue
            values = whole.isel(channel=[channel]) if "channel" in own else whole
            if is_same and np.isfinite(values.values).all():
                # Nothing to interpolate, which takes longer than the calibration.
                renamed = [{"time1": "ping_time"}.get(str(d), d) for d in values.dims]
                by_ping = xr.DataArray(values.values, {"ping_time": times}, renamed)
            else:
                by_ping = harmonize_env_param_time(values, ping_time=times).broadcast_like(times)
            found[str(name)] = by_ping.transpose(..., "ping_time")
        return found


def picked(
    whole: xr.Dataset, channels: Sequence[int], places: Mapping[Hashable, Sequence[int]]
) -> xr.Dataset | None:
    """A dataset of some channels, of each at other places of other dimensions.

    Args:
        whole: with or without a dimension `channel`.
        channels: their numbers.
        places: of each channel, by dimension.

    Returns:
        These dimensions have the length 1, with the coordinates of the first channel. None
        if a value is not by channel, and not the same for all.
    """
    found: dict[Hashable, xr.Variable] = {}
    for name, variable in whole.variables.items():
        values, dimensions = variable.values, variable.dims
        parts = []
        for number, channel in enumerate(channels):
            at = {"channel": channel, **{d: chosen[number] for d, chosen in places.items()}}
            chosen = tuple(slice(at[d], at[d] + 1) if d in at else slice(None) for d in dimensions)
            parts.append(xr.Variable(dimensions, values[chosen], variable.attrs))
        if "channel" in dimensions:
            joined = np.concatenate([p.values for p in parts], dimensions.index("channel"))
            parts[0] = xr.Variable(dimensions, joined, variable.attrs)
        elif (
            name not in whole.coords
            and not all(
                parts[0].equals(part)  # type: ignore[no-untyped-call] # xarray has no type for it
                for part in parts[1:]
            )
        ):
            return None
        found[name] = parts[0]
    coordinates = {name: found.pop(name) for name in whole.coords}
    return xr.Dataset(found, coordinates, whole.attrs)

"""An EchoData of some pings of one channel, as echopype's calibration needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from flows.products.sv.panels import Floats, Ints, Panel
from flows.products.sv.stored_samples import Stored

_PULSE = (
    "transmit_duration_nominal",
    "sample_interval",
    "slope",
    "transmit_frequency_start",
    "transmit_frequency_stop",
)


class ChannelSlices:
    """One channel of an output.

    Attributes:
        model: the sonar model.
        attributes: of the whole output.
        beam: the channel's part of its beam group, its samples not loaded.
        settings: a number for each of the panel's pings, equal for pings with the same
            power, pulse, filter and water (n).
        pulses: the same of pulse, filter and sample interval alone, which echopype takes
            from the first ping (n).
    """

    def __init__(self, echodata: Any, panel: Panel) -> None:  # noqa: ANN401 - echopype ships no types
        self.panel = panel
        self.model = echodata.sonar_model
        beam = echodata[panel.group].isel(channel=[panel.channel])
        # Not the coordinates that come from the group above.
        inherited = {"beam_group", "beam_group_index", "channel_all"} & set(beam.coords)
        other = {name for name in beam if str(name).startswith(("angle_a", "transmit_pulse"))}
        self.beam = beam.drop_vars(inherited | other)
        self._small = self.beam.drop_dims("range_sample")
        channel = self.beam["channel"]
        environment, vendor = echodata["Environment"], echodata["Vendor_specific"]
        self._environment, self._vendor = (
            each.sel(channel=channel) if "channel" in each.dims else each
            for each in (environment, vendor)
        )
        self.attributes = echodata["Top-level"].attrs
        self._by_ping = self._environment_by_ping()
        self._filters = self._filter_of_ping()
        self.settings, self.pulses = self._settings_of_pings()

    def of(self, places: Ints, samples: Stored | None) -> Any:  # noqa: ANN401 - as above
        """An EchoData of these pings of this channel alone, which must have one pulse and filter."""
        whole = samples and {name: values[None] for name, values in samples.items()}
        return _echodata(self, *self.groups(places), whole)

    @staticmethod
    def of_first_pings(slices: Sequence[ChannelSlices], samples: Stored | None) -> Any:  # noqa: ANN401 - as above
        """An EchoData of one ping for each channel with its first ping's settings.

        The channels must be of one beam group. None if one of their values is not by channel,
        and not the same for all. The pings have these samples (channels by 1 by samples), or a
        level of 0 dB.
        """
        found: list[xr.Dataset] = []
        for parts in zip(*(each.groups(np.array([0])) for each in slices), strict=True):
            times = {n: parts[0][n] for n in ("ping_time", "time1") if n in parts[0].coords}
            same = [part.assign_coords(times) for part in parts]
            for name, values in same[0].data_vars.items():
                if "channel" not in values.dims and not all(
                    values.equals(part[name]) for part in same[1:]
                ):
                    return None
            if "channel" in same[0].dims:
                same[:1] = [_joined(same)]
            found.append(same[0])
        beam, environment, vendor = found
        return _echodata(slices[0], beam, environment, vendor, samples)

    def groups(self, places: Ints) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
        """The beam group without samples, the environment and the vendor's group at these pings."""
        pings = self.panel.pings[places]
        environment = self._environment.drop_dims("time1", errors="ignore")
        if "time1" in self._environment.dims and not self._by_ping:
            environment = self._environment
        for name, by_ping in self._by_ping.items():
            environment[name] = by_ping.isel(ping_time=pings).rename(ping_time="time1")
        vendor = self._vendor
        if "filter_time" in vendor.dims:
            vendor = vendor.isel(filter_time=[int(self._filters[places[0]])])
        if self.panel.encoding != "counts":
            vendor = vendor.drop_dims("ping_time", errors="ignore")
        return self._small.isel(ping_time=pings), environment, vendor

    def _environment_by_ping(self) -> dict[str, xr.DataArray]:
        """Variables of several times, as echopype interpolates them to the pings of the group."""
        if self._environment.sizes.get("time1", 1) == 1:
            return {}
        from echopype.calibrate.env_params import harmonize_env_param_time  # noqa: PLC0415 - as above

        times = self._small["ping_time"]
        return {
            str(name): harmonize_env_param_time(values, ping_time=times)
            .broadcast_like(times)
            .transpose(..., "ping_time")
            for name, values in self._environment.data_vars.items()
            if "time1" in values.dims
            and values.dtype.kind in "fiu"
            and set(values.dims) <= {"time1", "channel"}
        }

    def _filter_of_ping(self) -> Ints:
        """The filters in force at each of the panel's pings, as numbers of `filter_time`."""
        if self._vendor.sizes.get("filter_time", 1) == 1:
            return np.zeros(self.panel.pings.size, np.intp)
        set_ = np.isfinite(self._vendor["PC_deci_fac"].isel(channel=0).values)
        numbers = np.flatnonzero(set_)
        if not numbers.size:
            return np.zeros(self.panel.pings.size, np.intp)
        times = self._vendor["filter_time"].values[numbers]
        found = np.searchsorted(times, self.panel.times, side="right") - 1
        return numbers[np.maximum(found, 0)]

    def _settings_of_pings(self) -> tuple[Ints, Ints]:
        """For each of the panel's pings, a number of its setting and one of its pulse."""
        pings = self.panel.pings
        columns: dict[str, Floats] = {"filter": self._filters.astype(np.float64)}
        one = self._small.isel(channel=0)
        for name in (*_PULSE, "transmit_power"):
            if name in one and one[name].dims == ("ping_time",):
                columns[name] = one[name].values[pings].astype(np.float64)
        pulse = [values for name, values in columns.items() if name != "transmit_power"]
        for name, by_ping in self._by_ping.items():
            # The temperature of an EK60 is of no use to its calibration, and changes often.
            if name != "temperature" or self.model not in {"EK60", "ES70"}:
                columns[f"of the water: {name}"] = by_ping.values[..., pings].reshape(pings.size)
        return _numbered(list(columns.values())), _numbered(pulse)


def _joined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Datasets of one channel each as one of all."""
    joined: xr.Dataset = xr.concat(
        parts, "channel", data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    return joined


def _echodata(
    own: ChannelSlices,
    beam: xr.Dataset,
    environment: xr.Dataset,
    vendor: xr.Dataset,
    samples: Stored | None,
) -> Any:  # noqa: ANN401 - as above
    """An EchoData of these groups, of these samples or of a level of 0 dB."""
    from echopype.echodata import EchoData  # noqa: PLC0415 - takes seconds

    is_complex = "backscatter_i" in own.beam
    for name in ("backscatter_r", "backscatter_i") if is_complex else ("backscatter_r",):
        dimensions = own.beam[name].dims
        sizes = {**own.beam.sizes, **{d: beam.sizes[d] for d in ("channel", "ping_time")}}
        if samples is None:
            level = float(is_complex and name == "backscatter_r")
            values = np.full([sizes[d] for d in dimensions], level)
        else:
            values = samples[name]
        beam[name] = (dimensions, values)
    sonar = xr.Dataset({"waveform_encode_descr": ("beam_group_index", [own.panel.encoding])})
    groups = {
        "/": xr.Dataset(attrs=own.attributes),
        "Sonar": sonar.assign_attrs(sonar_model=own.model),
        "Sonar/Beam_group1": beam,
        "Environment": environment,
        "Vendor_specific": vendor,
        "Platform": xr.Dataset({"water_level": 0.0}),
    }
    made = EchoData(converted_raw_path="block", sonar_model=own.model)
    made._set_tree(xr.DataTree.from_dict(groups))  # noqa: SLF001 - as open_converted does
    return made


def _numbered(columns: list[Floats]) -> Ints:
    """A number for each row, the same for equal rows; NaN equals NaN."""
    rows = np.nan_to_num(np.column_stack(columns), nan=-1e300)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)

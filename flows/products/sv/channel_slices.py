"""An EchoData of some pings of one channel, as echopype's calibration needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from flows.products.sv.depth_bins import numbered
from flows.products.sv.group_parts import GroupParts, picked
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
        settings: a number for each of the panel's pings, equal for pings with the same
            power, pulse, filter and water (n).
        pulses: the same of pulse, filter and sample interval alone, which echopype takes
            from the first ping (n).
        by_ping: what of the water has several times (see `GroupParts.water_by_ping`).
        filters: the number in `filter_time` of the filter of each ping (n).
    """

    def __init__(self, parts: GroupParts, panel: Panel) -> None:
        self.panel = panel
        self.parts = parts
        self.by_ping = parts.water_by_ping(panel.channel)
        self.filters = self._filter_of_ping()
        self.settings, self.pulses = self._settings_of_pings()

    def of(self, places: Ints, samples: Stored | None) -> Any:  # noqa: ANN401 - echopype ships no types
        """An EchoData of these pings of this channel alone, which must have one pulse and filter."""
        pings = self.panel.pings[places]
        beam, environment, vendor = (
            each.isel(channel=[self.panel.channel]) if "channel" in each.dims else each
            for each in (self.parts.beam, self.parts.environment, self.parts.vendor)
        )
        environment = _without_times(environment, self.by_ping)
        for name, by_ping in self.by_ping.items():
            environment[name] = by_ping.isel(ping_time=pings).rename(ping_time="time1")
        vendor = _without_pings(vendor, self.panel)
        if "filter_time" in vendor.dims:
            vendor = vendor.isel(filter_time=[int(self.filters[places[0]])])
        whole = samples and {name: values[None] for name, values in samples.items()}
        return _echodata(self, beam.isel(ping_time=pings), environment, vendor, whole)

    @staticmethod
    def of_first_pings(slices: Sequence[ChannelSlices], samples: Stored | None) -> Any:  # noqa: ANN401 - as above
        """An EchoData of one ping for each channel with its first ping's settings.

        The channels must be of one beam group. None if one of their values is not by channel,
        and not the same for all. The pings have these samples (channels by 1 by samples), or a
        level of 0 dB.
        """
        first = slices[0]
        channels = [each.panel.channel for each in slices]
        pings = [int(each.panel.pings[0]) for each in slices]
        filters = [int(each.filters[0]) for each in slices]
        beam = picked(first.parts.beam, channels, {"ping_time": pings})
        environment = picked(_without_times(first.parts.environment, first.by_ping), channels, {})
        vendor = picked(
            _without_pings(first.parts.vendor, first.panel), channels, {"filter_time": filters}
        )
        if beam is None or environment is None or vendor is None:
            return None
        if first.by_ping:
            environment = environment.assign_coords(time1=beam["ping_time"].values)
        for name, own in first.by_ping.items():
            values = [
                each.by_ping[name].values[..., ping]
                for each, ping in zip(slices, pings, strict=True)
            ]
            if "channel" in own.dims:
                environment[name] = (("channel", "time1"), np.array(values))
            elif np.ptp(values) == 0:
                environment[name] = (("time1",), np.array(values[:1]))
            else:
                return None
        return _echodata(first, beam, environment, vendor, samples)

    def _filter_of_ping(self) -> Ints:
        """The filters in force at each of the panel's pings, as numbers of `filter_time`."""
        vendor = self.parts.vendor
        if vendor.sizes.get("filter_time", 1) == 1:
            return np.zeros(self.panel.pings.size, np.intp)
        factors = vendor["PC_deci_fac"].variable.isel(channel=self.panel.channel)
        set_ = np.isfinite(factors.values)
        numbers = np.flatnonzero(set_)
        if not numbers.size:
            return np.zeros(self.panel.pings.size, np.intp)
        times = vendor["filter_time"].values[numbers]
        found = np.searchsorted(times, self.panel.times, side="right") - 1
        return numbers[np.maximum(found, 0)]

    def _settings_of_pings(self) -> tuple[Ints, Ints]:
        """For each of the panel's pings, a number of its setting and one of its pulse."""
        pings = self.panel.pings
        columns: dict[str, Floats] = {"filter": self.filters.astype(np.float64)}
        for name in (*_PULSE, "transmit_power"):
            if name in self.parts.beam:
                own = self.parts.beam[name].variable
                own = own.isel(channel=self.panel.channel) if "channel" in own.dims else own
                if own.dims == ("ping_time",):
                    columns[name] = own.values[pings].astype(np.float64)
        pulse = [values for name, values in columns.items() if name != "transmit_power"]
        for name, by_ping in self.by_ping.items():
            # The temperature of an EK60 is of no use to its calibration, and changes often.
            if name != "temperature" or self.parts.model not in {"EK60", "ES70"}:
                columns[f"of the water: {name}"] = by_ping.values[..., pings].reshape(pings.size)
        return numbered(columns.values(), pings.size), numbered(pulse, pings.size)


def _without_times(environment: xr.Dataset, by_ping: Mapping[str, xr.DataArray]) -> xr.Dataset:
    """Only a single time is the water of all pings."""
    return environment.drop_dims("time1") if by_ping else environment


def _without_pings(vendor: xr.Dataset, panel: Panel) -> xr.Dataset:
    return vendor if panel.encoding == "counts" else vendor.drop_dims("ping_time", errors="ignore")


def _echodata(
    own: ChannelSlices,
    beam: xr.Dataset,
    environment: xr.Dataset,
    vendor: xr.Dataset,
    samples: Stored | None,
) -> Any:  # noqa: ANN401 - as above
    """An EchoData of these groups, of these samples or of a level of 0 dB."""
    from echopype.echodata import EchoData  # noqa: PLC0415 - takes seconds

    parts = own.parts
    is_complex = "backscatter_i" in parts.samples
    for name in ("backscatter_r", "backscatter_i") if is_complex else ("backscatter_r",):
        dimensions = parts.samples[name].dims
        if samples is None:
            level = float(is_complex and name == "backscatter_r")
            sizes = parts.samples[name].sizes
            values = np.full([beam.sizes.get(d, sizes[d]) for d in dimensions], level)
        else:
            values = samples[name]
        beam[name] = (dimensions, values)
    sonar = xr.Dataset({"waveform_encode_descr": ("beam_group_index", [own.panel.encoding])})
    groups = {
        "/": xr.Dataset(attrs=parts.attributes),
        "Sonar": sonar.assign_attrs(sonar_model=parts.model),
        "Sonar/Beam_group1": beam,
        "Environment": environment,
        "Vendor_specific": vendor,
        "Platform": xr.Dataset({"water_level": 0.0}),
    }
    made = EchoData(converted_raw_path="block", sonar_model=parts.model)
    made._set_tree(xr.DataTree.from_dict(groups))  # noqa: SLF001 - as open_converted does
    return made

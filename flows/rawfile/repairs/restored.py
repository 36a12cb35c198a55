"""Puts into an EchoData what echopype could not be given in the repaired datagrams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from flows.rawfile.parsed_pings import beam_groups, has_ping
from flows.walk.sample_index import SampleIndex

_CHANNELS = ("channel", "channel_all", "cal_channel_id")


@dataclass
class Restored:
    """What the output has instead of what echopype reads from the repaired datagrams.

    `names`: name of a channel that echopype reads -> the channel's name. `configuration` is None, and
    `impedances` by channel and `frequencies` by their number are empty, if echopype reads them unchanged. `sentences` are by the number
    of the NMEA datagram. `pings`: offset of a ping's datagram -> variable -> value.
    """

    names: dict[str, str] = field(default_factory=dict)
    configuration: str | None = None
    impedances: dict[str, float] = field(default_factory=dict)
    frequencies: list[float] = field(default_factory=list)
    sentences: dict[int, str] = field(default_factory=dict)
    pings: dict[int, dict[str, Any]] = field(default_factory=dict)


def rename_channels(echodata: Any, names: dict[str, str]) -> None:  # noqa: ANN401 - echopype ships no types
    """Give the channels of an EchoData their names in the file; `names` is name in it -> in the file."""
    if not names:
        return
    for path in [p.strip("/") or "Top-level" for p in echodata.group_paths]:
        group = echodata[path]
        if group is None:
            continue
        changed = {}
        for dimension in _CHANNELS:
            if dimension in group.coords:
                variable = group[dimension].variable
                renamed = [names.get(str(name), str(name)) for name in variable.values]
                changed[dimension] = xr.Variable(variable.dims, renamed, variable.attrs)
        if changed:
            echodata[path] = group.assign_coords(changed)


def without_stand_ins(group: xr.Dataset, index: SampleIndex) -> xr.Dataset:
    """A Beam group without the pings that have none of its samples.

    A channel whose pings have power or complex samples in turn is written with both, so
    echopype has all its pings in both groups.
    """
    own_kind = index.sectors > 0 if "backscatter_i" in group else index.has_power
    numbers = {name: number for number, name in enumerate(index.names)}
    times = group["ping_time"].values
    has = np.ones((group.sizes["channel"], times.size), dtype=bool)
    for c, channel in enumerate(map(str, group["channel"].values)):
        own = index.channel == numbers.get(channel, -1)
        if (own & ~own_kind).any():
            has[c] = np.isin(times, index.times[own & own_kind])
    if has.all():
        return group
    mask = xr.DataArray(has, dims=("channel", "ping_time"))
    by_ping = [n for n, v in group.data_vars.items() if {"channel", "ping_time"} <= set(v.dims)]
    kept = group.assign({name: group[name].where(mask) for name in by_ping})
    for name in by_ping:
        kept[name].encoding = group[name].encoding
    present = has_ping(kept)
    return kept.isel(channel=present.any(axis=1), ping_time=present.any(axis=0))


def restore(echodata: Any, restored: Restored, index: SampleIndex, modes: dict[int, int]) -> None:  # noqa: ANN401 - see above
    """Put what was restored into an EchoData, whose channels have their names.

    `modes`: row of a ping -> EK60's `data_type`, where it was changed.
    """
    _restore_vendor(echodata, restored)
    if restored.sentences:
        nmea = echodata["Platform/NMEA"]
        texts = nmea["NMEA_datagram"].values.astype(object)
        for number, text in restored.sentences.items():
            texts[number] = text
        variable = nmea["NMEA_datagram"].variable
        changed = xr.Variable(variable.dims, texts.astype(str), variable.attrs)
        echodata["Platform/NMEA"] = nmea.assign({"NMEA_datagram": changed})
    values: dict[str, dict[int, Any]] = {"data_type": dict(modes)} if modes else {}
    if restored.pings:
        for row, offset in enumerate(index.offset.tolist()):
            for name, value in restored.pings.get(offset, {}).items():
                values.setdefault(name, {})[row] = value
    for path in beam_groups(echodata) if values else ():
        for variable_name, by_row in values.items():
            if variable_name in echodata[path]:
                echodata[path] = _with_values(echodata[path], variable_name, by_row, index)


def _restore_vendor(echodata: Any, restored: Restored) -> None:  # noqa: ANN401 - see above
    vendor = echodata["Vendor_specific"]
    changed: dict[str, Any] = {}
    if restored.configuration is not None:
        changed["config_xml"] = ((), restored.configuration, vendor["config_xml"].attrs)
    if restored.impedances and "impedance_transceiver" in vendor:
        variable = vendor["impedance_transceiver"].variable
        impedances = {restored.names.get(n, n): v for n, v in restored.impedances.items()}
        values = [impedances[str(name)] for name in vendor["channel"].values]
        changed["impedance_transceiver"] = xr.Variable(variable.dims, values, variable.attrs)
    if restored.frequencies and "cal_frequency" in vendor:
        variable = vendor["cal_frequency"].variable
        hertz = [restored.frequencies[number] for number in variable.values.tolist()]
        changed["cal_frequency"] = xr.Variable(variable.dims, hertz, variable.attrs)
    if changed:
        echodata["Vendor_specific"] = vendor.assign(changed)


def _with_values(
    group: xr.Dataset, name: str, by_row: dict[int, Any], index: SampleIndex
) -> xr.Dataset:
    """A Beam group with other values of a variable by channel and ping."""
    old = group[name].transpose("channel", "ping_time")
    texts = any(isinstance(value, str) for value in by_row.values())
    lacks = any(isinstance(value, float) for value in by_row.values())
    values = old.values.astype(object if texts else float if lacks else old.dtype)
    channels = {str(channel): c for c, channel in enumerate(group["channel"].values)}
    places = {int(time): p for p, time in enumerate(group["ping_time"].values.astype(np.int64))}
    present = has_ping(group)
    for row, value in by_row.items():
        c = channels.get(index.names[int(index.channel[row])])
        p = places.get(int(index.times[row].astype(np.int64)))
        if c is not None and p is not None and present[c, p]:
            values[c, p] = value
    if texts and old.dtype.kind == "U":
        values = values.astype(str)
    changed = xr.DataArray(values, dims=("channel", "ping_time"), attrs=old.attrs)
    return group.assign({name: changed})

"""The samples of one panel as they are stored, each chunk decoded once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.products.sv.panels import Ints, Panel

#: Values that are read at once, unless a chunk has more.
_READ_VALUES = 3_000_000
#: Of what is read to find a panel's extent, so much is kept until its blocks are read.
_KEPT_BYTES = 64_000_000

#: `backscatter_r`, and `backscatter_i` of complex samples: pings by samples, or by samples and sectors.
Stored = dict[str, NDArray[Any]]


class StoredSamples:
    """Reads the samples of a panel's pings, in units that end where chunks do.

    Attributes:
        width: samples of a ping, padding included.
        sectors: of a ping.
    """

    def __init__(self, echodata: Any, panel: Panel) -> None:  # noqa: ANN401 - echopype ships no types
        stored: dict[tuple[str, str], xr.Variable] = echodata.stored_samples
        self._variables = {
            name: stored[panel.group, name].isel(channel=panel.channel)
            for name in ("backscatter_r", "backscatter_i")
            if (panel.group, name) in stored
        }
        sizes = self._variables["backscatter_r"].sizes
        self.width = int(sizes["range_sample"])
        self.sectors = int(sizes.get("beam", 1))
        most = max(1, _READ_VALUES // max(1, self.width * self.sectors))
        preferred = stored[panel.group, "backscatter_r"].encoding.get("preferred_chunks", {})
        chunk = max(1, int(preferred.get("ping_time", 1)))
        self._unit = most // chunk * chunk if chunk <= most else chunk
        self._pings = panel.pings
        self._units = panel.pings // self._unit
        self._kept: dict[int, Stored] = {}

    def units(self, every: int) -> Iterator[tuple[Ints, Stored]]:
        """Every `every`-th place of the panel's pings with its samples, a unit at a time."""
        places = np.arange(0, self._pings.size, every)
        for part in np.split(places, np.flatnonzero(np.diff(self._units[places])) + 1):
            unit = int(self._units[part[0]])
            kept = self._kept.pop(unit, None)
            if kept is None:
                yield part, self._read(self._pings[part])
            else:
                begin = int(np.searchsorted(self._units, unit))
                yield part, {name: values[part - begin] for name, values in kept.items()}

    def one(self, place: int) -> Stored:
        """The samples of one ping; those of its unit are kept for `units`."""
        unit = int(self._units[place])
        begin, end = np.searchsorted(self._units, [unit, unit + 1])
        if unit not in self._kept:
            found = self._read(self._pings[begin:end])
            held = [values for each in self._kept.values() for values in each.values()]
            if sum(values.nbytes for values in [*held, *found.values()]) > _KEPT_BYTES:
                return {name: values[place - begin] for name, values in found.items()}
            self._kept[unit] = found
        return {name: values[place - begin] for name, values in self._kept[unit].items()}

    def decoded(self, stored: Stored, name: str) -> NDArray[Any]:
        """Values as the output's readers have them: scaled, NaN where there is no sample.

        Of integers of two bytes they are float32, which is as exact. May be `stored` itself
        unless those are integers.
        """
        attributes, values = self._variables[name].attrs, stored[name]
        packed = attributes.keys() & {"_FillValue", "missing_value", "add_offset"}
        if values.dtype.kind == "f" and not packed and attributes.get("scale_factor", 1) == 1:
            return values
        if values.dtype == np.int16 and packed <= {"_FillValue"}:
            scaled = values * np.float32(attributes.get("scale_factor", 1))
            missing = values == attributes.get("_FillValue")
            if missing.any():
                scaled[missing] = np.nan
            return scaled
        dimensions = self._variables[name].dims[-values.ndim :]
        found = xr.conventions.decode_cf_variable(name, xr.Variable(dimensions, values, attributes))
        return np.array(found.values, np.float64)

    def _read(self, pings: Ints) -> Stored:
        first, last = int(pings[0]), int(pings[-1]) + 1
        found: Stored = {}
        for name, variable in self._variables.items():
            # Whole chunks, of which the pings are taken: a selection in the store takes longer.
            values = variable.isel(ping_time=slice(first, last)).values
            found[name] = values if pings.size == last - first else values[pings - first]
        return found

"""Sv by echopype's calibration, a block of pings at a time.

For narrow-band samples Sv is the recorded level plus a gain that depends on the sample's
number and on the ping's settings alone. So echopype's `compute_Sv` calibrates one ping of
level 0 dB for each setting, which gives that gain, and the pings only add it. Broadband
samples are compressed by echopype, and the counts of an AZFP are not a level in dB: their
pings go through `compute_Sv` themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.products.panels import Floats, Ints, Panel

#: Most samples of a block, over pings and sectors. Its arrays take about 40 bytes a sample; the
#: complex numbers of a pulse compression five times as much.
BLOCK_SAMPLES = 3_000_000
_FM_SHARE = 5
#: An AZFP measures neither. Values of shelf water are good enough for a picture.
ASSUMED_WATER = {"salinity": 35.0, "pressure": 50.0}
_GAINS_KEPT = 64
_PULSE = (
    "transmit_duration_nominal",
    "sample_interval",
    "slope",
    "transmit_frequency_start",
    "transmit_frequency_stop",
)


class NotCalibratedError(Exception):
    """echopype cannot compute Sv of this channel; the text says why."""


@dataclass(frozen=True, eq=False)
class SvBlock:
    """Some pings of a panel.

    Attributes:
        places: which pings of the panel they are (n).
        values: Sv, or the recorded level, in dB; NaN where there is no sample
            (float32, n by samples).
        start: range of the first sample in m (n).
        step: metres from one sample to the next (n).
    """

    places: Ints
    values: NDArray[np.float32]
    start: Floats
    step: Floats


@dataclass(frozen=True, eq=False)
class _Gain:
    """What a ping's setting adds to its level: dB by sample, and its range in m."""

    decibels: Floats
    start: float
    step: float


_NO_GAIN = _Gain(np.zeros(0), 0.0, 1.0)


class ChannelCalibration:
    """The calibration of one panel of an output.

    Attributes:
        is_calibrated: False to read recorded levels by sample number instead of Sv by range.
    """

    def __init__(self, echodata: Any, panel: Panel, *, is_calibrated: bool = True) -> None:  # noqa: ANN401 - echopype ships no types
        self.panel = panel
        self.is_calibrated = is_calibrated
        self._model = echodata.sonar_model
        beam = echodata[panel.group].isel(channel=[panel.channel])
        # Not the coordinates that come from the group above.
        inherited = {"beam_group", "beam_group_index", "channel_all"} & set(beam.coords)
        other = {name for name in beam if str(name).startswith(("angle_a", "transmit_pulse"))}
        self._beam = beam.drop_vars(inherited | other)
        self._small = self._beam.drop_dims("range_sample")
        channel = self._beam["channel"]
        environment, vendor = echodata["Environment"], echodata["Vendor_specific"]
        self._environment, self._vendor = (
            each.sel(channel=channel) if "channel" in each.dims else each
            for each in (environment, vendor)
        )
        self._attrs = echodata["Top-level"].attrs
        self._by_ping = self._environment_by_ping()
        self._filters = self._filter_of_ping()
        self._settings, self._pulses = self._settings_of_pings()
        self._gains: dict[int, _Gain] = {}

    def extent(self) -> tuple[float, float, float]:
        """First and last range, and the finest step, of some of its pings, in m.

        Pings between those may reach farther.

        Raises:
            NotCalibratedError: see `blocks`.
        """
        panel = self.panel
        if not panel.pings.size:
            return (0.0, 0.0, np.inf)
        last, first, finest = 0.0, np.inf, np.inf
        firsts = np.unique(self._settings, return_index=True)[1][:8].tolist()
        later = [panel.pings.size - 1, panel.pings.size // 2]
        for place in dict.fromkeys([*firsts, *later]):
            known = np.flatnonzero(np.isfinite(self._one_ping(place)))
            if not known.size:
                continue
            gain = self._gain_at(place) if self.is_calibrated else _NO_GAIN
            last = max(last, gain.start + gain.step * float(known[-1] + 1))
            first, finest = min(first, gain.start), min(finest, gain.step)
            if place == 0 and len(firsts) == 1 and known[-1] == self._width - 1:
                break
        return (first if np.isfinite(first) else 0.0, last, finest)

    def blocks(self, every: int = 1) -> Iterator[SvBlock]:
        """Every `every`-th ping, in blocks of at most BLOCK_SAMPLES samples.

        Raises:
            NotCalibratedError: echopype cannot calibrate it, or all of its Sv are NaN.
        """
        places = np.arange(0, self.panel.pings.size, every)
        if not places.size:
            return
        # Blocks end where chunks do, so that few chunks are read twice.
        numbers = self.panel.pings[places] // self.pings_a_block()
        for part in np.split(places, np.flatnonzero(np.diff(numbers)) + 1):
            yield self._block(part)

    def samples_a_ping(self) -> int:
        """How many samples a ping of the group takes, over its sectors, padding included."""
        sizes = self._beam["backscatter_r"].sizes
        return int(sizes["range_sample"] * sizes.get("beam", 1))

    def pings_a_block(self) -> int:
        """How many pings of the group are read at once."""
        samples = self._beam["backscatter_r"]
        share = _FM_SHARE if self.panel.encoding == "complex_FM" else 1
        most = max(1, BLOCK_SAMPLES // share // max(1, self.samples_a_ping()))
        chunk = int(samples.encoding.get("preferred_chunks", {}).get("ping_time", 1))
        return most // chunk * chunk if 0 < chunk <= most else most

    def _block(self, places: Ints) -> SvBlock:
        pings = self.panel.pings[places]
        # Most pings of a range are cheaper to read together.
        span = slice(int(pings[0]), int(pings[-1]) + 1)
        dense = span.stop - span.start <= 2 * pings.size
        read = self._samples(span if dense else pings)
        if dense:
            read = read.isel(ping_time=pings - span.start)
        if not self.is_calibrated:
            level = self._level(read)
            return SvBlock(places, level, np.zeros(places.size), np.ones(places.size))
        if self.panel.encoding in {"power", "complex_CW"}:
            return self._with_gains(places, self._level(read))
        values = np.empty((places.size, read.sizes["range_sample"]), np.float32)
        start, step = np.empty(places.size), np.empty(places.size)
        for rows in _groups(self._pulses[places]):
            found = self._computed(places[rows], read.isel(ping_time=rows))
            values[rows], start[rows], step[rows] = found
        return SvBlock(places, values, start, step)

    @property
    def _width(self) -> int:
        return int(self._beam.sizes["range_sample"])

    def _one_ping(self, place: int) -> Floats:
        """The samples of one ping, of the first sector."""
        one = self._beam["backscatter_r"].isel(channel=0, ping_time=int(self.panel.pings[place]))
        return np.asarray(one.values, np.float64).reshape(self._width, -1)[:, 0]

    def _samples(self, pings: slice | Ints) -> xr.Dataset:
        """The samples of these pings of the group, without the channel's dimension."""
        names = [name for name in ("backscatter_r", "backscatter_i") if name in self._beam]
        read: xr.Dataset = self._beam[names].isel(channel=0, ping_time=pings).load()
        return read

    def _level(self, read: xr.Dataset) -> NDArray[np.float32]:
        """The recorded level in dB: of complex samples, the power of the sectors' mean."""
        real = read["backscatter_r"].values
        if "backscatter_i" not in read:
            return real.astype(np.float32)
        imaginary = np.where(np.isfinite(real), np.nan_to_num(read["backscatter_i"].values), np.nan)
        sectors = np.isfinite(real).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            means = [np.nansum(part, axis=-1) / sectors for part in (real, imaginary)]
            level = 10 * np.log10(means[0] ** 2 + means[1] ** 2)
        return np.where(np.isfinite(level), level, np.nan).astype(np.float32)

    def _with_gains(self, places: Ints, level: NDArray[np.float32]) -> SvBlock:
        settings = self._settings[places]
        self._compute_gains(np.unique(settings))
        gains = [self._gains[s] for s in settings.tolist()]
        if len({id(gain) for gain in gains}) == 1:
            level += gains[0].decibels.astype(np.float32)
        else:
            for row, gain in enumerate(gains):
                level[row] += gain.decibels.astype(np.float32)
        start, step = (np.array([getattr(g, name) for g in gains]) for name in ("start", "step"))
        return SvBlock(places, level, start, step)

    def _gain_at(self, place: int) -> _Gain:
        """What the setting of one ping adds to a level."""
        setting = int(self._settings[place])
        self._compute_gains(np.array([setting]))
        return self._gains[setting]

    def _compute_gains(self, settings: Ints) -> None:
        missing = np.array([s for s in settings.tolist() if s not in self._gains], np.intp)
        if len(self._gains) + missing.size > _GAINS_KEPT:
            self._gains = {s: self._gains[s] for s in settings.tolist() if s in self._gains}
        examples = np.array([np.flatnonzero(self._settings == s)[0] for s in missing], np.intp)
        for rows in _groups(self._pulses[examples]):
            computed = self._computed(examples[rows], None)
            for row, setting in enumerate(missing[rows].tolist()):
                self._gains[setting] = _Gain(*(each[row] for each in computed))

    def _computed(self, places: Ints, samples: xr.Dataset | None) -> tuple[Floats, Floats, Floats]:
        """Sv by ping and sample, first range and step by ping; without samples, of a level of 0 dB."""
        from echopype.calibrate import compute_Sv  # noqa: PLC0415 - its import takes a second
        from echopype.calibrate.api import CALIBRATOR  # noqa: PLC0415 - as above

        if self._model not in CALIBRATOR:
            raise NotCalibratedError(f"echopype does not calibrate {self._model}")
        echodata = self._sliced(places, samples)
        options: dict[str, Any] = {}
        if self.panel.encoding == "counts":
            options["env_params"] = dict(ASSUMED_WATER)
        elif self._model not in {"EK60", "ES70"}:
            waveform = "BB" if self.panel.encoding == "complex_FM" else "CW"
            encode = "power" if self.panel.encoding == "power" else "complex"
            options = {"waveform_mode": waveform, "encode_mode": encode}
        try:
            found = compute_Sv(echodata, **options)
        # BLE001: echopype raises many types.
        except Exception as error:
            raise NotCalibratedError(f"{type(error).__name__}: {error}") from error
        order = ("ping_time", "range_sample")
        values = found["Sv"].isel(channel=0).transpose(*order).values
        ranges = found["echo_range"].isel(channel=0).transpose(*order).values
        values = np.where(np.isfinite(values), values, np.nan)
        if samples is None and not np.isfinite(values).any():
            raise NotCalibratedError(
                "all Sv are NaN: a value that the calibration needs is missing"
            )
        return (values, *_linear(ranges))

    def _sliced(self, places: Ints, samples: xr.Dataset | None) -> Any:  # noqa: ANN401 - as above
        """An EchoData of these pings of this channel alone, which must have one pulse and filter."""
        from echopype.echodata import EchoData  # noqa: PLC0415 - takes seconds

        pings = self.panel.pings[places]
        beam = self._beam.isel(ping_time=pings)
        shape = beam["backscatter_r"].shape
        for name, unit in (("backscatter_r", 0.0), ("backscatter_i", 0.0)):
            if name not in beam:
                continue
            if samples is not None:
                values = samples[name].values[None]
            elif name == "backscatter_r" and "backscatter_i" in beam:
                values = np.ones(shape)
            else:
                values = np.full(shape, unit)
            beam[name] = (beam[name].dims, values)
        environment = self._environment.drop_dims("time1", errors="ignore")
        if "time1" in self._environment.dims and not self._by_ping:
            environment = self._environment
        for name, by_ping in self._by_ping.items():
            environment[name] = by_ping.isel(ping_time=pings).rename(ping_time="time1")
        vendor = self._vendor
        if "filter_time" in vendor.dims:
            vendor = vendor.isel(filter_time=[int(self._filters[places[0]])])
        sonar = xr.Dataset({"waveform_encode_descr": ("beam_group_index", [self.panel.encoding])})
        groups = {
            "/": xr.Dataset(attrs=self._attrs),
            "Sonar": sonar.assign_attrs(sonar_model=self._model),
            "Sonar/Beam_group1": beam,
            "Environment": environment,
            "Vendor_specific": vendor.drop_dims("ping_time", errors="ignore").load()
            if self.panel.encoding != "counts"
            else vendor.load(),
            "Platform": xr.Dataset({"water_level": 0.0}),
        }
        made = EchoData(converted_raw_path="block", sonar_model=self._model)
        made._set_tree(xr.DataTree.from_dict(groups))  # noqa: SLF001 - as open_converted does
        return made

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
            if name != "temperature" or self._model not in {"EK60", "ES70"}:
                columns[f"of the water: {name}"] = by_ping.values[..., pings].reshape(pings.size)
        return _numbered(list(columns.values())), _numbered(pulse)


def _numbered(columns: list[Floats]) -> Ints:
    """A number for each row, the same for equal rows; NaN equals NaN."""
    rows = np.nan_to_num(np.column_stack(columns), nan=-1e300)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def _groups(numbers: Ints) -> Iterator[Ints]:
    for number in np.unique(numbers):
        yield np.flatnonzero(numbers == number)


def _linear(ranges: Floats) -> tuple[Floats, Floats]:
    """First range and step of each row; a sample's range is linear in its number."""
    known = np.isfinite(ranges)
    first = known.argmax(axis=1)
    last = ranges.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    rows = np.arange(ranges.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        step = (ranges[rows, last] - ranges[rows, first]) / (last - first)
    return ranges[rows, first] - first * step, step

"""Sv by echopype's calibration, a block of pings at a time.

For Simrad's samples Sv is their power plus a gain that depends on the sample's number and on
the ping's settings alone. So echopype's `compute_Sv` calibrates one ping of known power for
each setting, which gives that gain, and the pings only add it. The power of broadband samples
is that of the compressed pulse (`sv/power.py`). The counts of an AZFP are not a power: their
pings go through `compute_Sv` themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.products.sv.channel_slices import ChannelSlices
from flows.products.sv.depth_bins import Linear, first_and_step, in_decibels, linear
from flows.products.sv.echopype_sv import NotCalibratedError, computed_sv, of_first_pings
from flows.products.sv.panels import Floats, Ints, Panel
from flows.products.sv.power import compressed, mean_of_sectors, noise, replica_of
from flows.products.sv.stored_samples import Stored, StoredSamples

#: Most samples of a block, over pings and sectors. Its arrays take about 40 bytes a sample.
BLOCK_SAMPLES = 1_000_000
_GAINS_KEPT = 64


@dataclass(frozen=True, eq=False)
class SvBlock:
    """Some pings of a panel.

    Attributes:
        places: which pings of the panel they are (n).
        linear: 10^(dB/10) of Sv or of the recorded level, or the counts of an AZFP that is
            not calibrated; NaN where there is no sample (float32, n by samples).
        start: range of the first sample in m (n).
        step: metres from one sample to the next (n).
    """

    places: Ints
    linear: Linear
    start: Floats
    step: Floats

    @property
    def values(self) -> NDArray[np.float32]:
        """In dB."""
        return in_decibels(self.linear.astype(np.float64))


@dataclass(frozen=True, eq=False)
class _Gain:
    """Of a setting: dB that it adds to a level, by sample; range of samples in m."""

    decibels: Floats
    start: float
    step: float


class ChannelCalibration:
    """One panel as Sv by range; if not `is_calibrated`, as recorded levels by sample number."""

    def __init__(self, echodata: Any, panel: Panel, *, is_calibrated: bool = True) -> None:  # noqa: ANN401 - echopype ships no types
        self.panel = panel
        self.is_calibrated = is_calibrated
        self.slices = ChannelSlices(echodata, panel)
        self._stored = StoredSamples(echodata, panel)
        self.gains: dict[int, _Gain] = {}
        self._replicas: dict[int, NDArray[np.complex128]] = {}

    def check(self) -> None:
        """Calibrate one ping.

        Raises:
            NotCalibratedError: see `blocks`.
        """
        if self.panel.pings.size and self.is_calibrated:
            self._gain_at(0)

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
        firsts = np.unique(self.slices.settings, return_index=True)[1][:8].tolist()
        later = [panel.pings.size - 1, panel.pings.size // 2]
        for place in dict.fromkeys([*firsts, *later]):
            samples = self._stored.decoded(self._stored.one(place), "backscatter_r")
            known = np.flatnonzero(np.isfinite(samples.reshape(self._stored.width, -1)[:, 0]))
            if not known.size:
                continue
            start, step = 0.0, 1.0
            if self.is_calibrated:
                gain = self._gain_at(place)
                start, step = gain.start, gain.step
            last = max(last, start + step * float(known[-1] + 1))
            first, finest = min(first, start), min(finest, step)
            if place == 0 and len(firsts) == 1 and known[-1] == self._stored.width - 1:
                break
        return (first if np.isfinite(first) else 0.0, last, finest)

    def blocks(self, every: int = 1) -> Iterator[SvBlock]:
        """Every `every`-th ping, in blocks of at most BLOCK_SAMPLES samples.

        Raises:
            NotCalibratedError: echopype cannot calibrate it, or all of its Sv are NaN.
        """
        most = max(1, BLOCK_SAMPLES // max(1, self.samples_a_ping()))
        for places, stored in self._stored.units(every) if self.panel.pings.size else ():
            for begin in range(0, places.size, most):
                some = slice(begin, begin + most)
                yield self._block(places[some], {name: each[some] for name, each in stored.items()})

    def samples_a_ping(self) -> int:
        """How many samples a ping of the group takes, over its sectors, padding included."""
        return self._stored.width * self._stored.sectors

    def _block(self, places: Ints, stored: Stored) -> SvBlock:
        decoded = {name: self._stored.decoded(stored, name) for name in stored}
        if self.panel.encoding == "counts":
            return self._of_counts(places, decoded["backscatter_r"])
        if "backscatter_i" in decoded:
            power = self._power(places, decoded["backscatter_r"], decoded["backscatter_i"])
            is_level = False
        else:
            power, is_level = decoded["backscatter_r"], True
        start, step = np.zeros(places.size), np.ones(places.size)
        if self.is_calibrated:
            settings = self.slices.settings[places]
            self._compute_gains(np.unique(settings))
            for rows in _groups(settings):
                gain = self.gains[int(settings[rows[0]])]
                start[rows], step[rows] = gain.start, gain.step
                some = slice(None) if rows.size == places.size else rows
                if is_level:
                    power[some] += gain.decibels.astype(np.float32)
                else:
                    power[some] *= 10 ** (gain.decibels / 10)
        values: Linear = power.astype(np.float32, copy=False)
        return SvBlock(places, linear(values) if is_level else values, start, step)

    def _of_counts(self, places: Ints, counts: NDArray[Any]) -> SvBlock:
        values = np.empty(counts.shape, np.float32)
        start, step = np.zeros(places.size), np.ones(places.size)
        if not self.is_calibrated:
            return SvBlock(places, counts.astype(np.float32), start, step)
        for rows in _groups(self.slices.pulses[places]):
            samples = {"backscatter_r": counts[rows].astype(np.float64)}
            found = self._computed(places[rows], samples)
            values[rows], start[rows], step[rows] = found
        return SvBlock(places, linear(values), start, step)

    def _power(self, places: Ints, real: NDArray[Any], imaginary: NDArray[Any]) -> Floats:
        """The power of complex samples; of FM, that of the compressed pulse."""
        mean = mean_of_sectors(real, imaginary)
        if self.panel.encoding == "complex_FM":
            pulses = self.slices.pulses[places]
            for rows in _groups(pulses):
                mean[rows] = compressed(mean[rows], self._replica(int(places[rows[0]])))
        power: Floats = mean.real**2 + mean.imag**2
        power[power == 0] = np.nan
        return power

    def _replica(self, place: int) -> NDArray[np.complex128]:
        pulse = int(self.slices.pulses[place])
        if pulse not in self._replicas:
            self._replicas[pulse] = replica_of(self.slices.of(np.array([place]), None))
        return self._replicas[pulse]

    def _gain_at(self, place: int) -> _Gain:
        """What the setting of one ping adds to a level."""
        setting = int(self.slices.settings[place])
        self._compute_gains(np.array([setting]))
        return self.gains[setting]

    def _compute_gains(self, settings: Ints) -> None:
        missing = np.array([s for s in settings.tolist() if s not in self.gains], np.intp)
        if len(self.gains) + missing.size > _GAINS_KEPT:
            self.gains = {s: self.gains[s] for s in settings.tolist() if s in self.gains}
        examples = np.array(
            [np.flatnonzero(self.slices.settings == s)[0] for s in missing], np.intp
        )
        for rows in _groups(self.slices.pulses[examples]):
            computed = self._computed(examples[rows], self._known_ping(rows.size))
            if self.panel.encoding == "complex_FM":
                sent = self._power(examples[rows[:1]], *noise(self._stored.width))
                computed = (computed[0] - 10 * np.log10(sent), *computed[1:])
            for row, setting in enumerate(missing[rows].tolist()):
                self.gains[setting] = _Gain(*(each[row] for each in computed))

    def _known_ping(self, pings: int) -> Stored | None:
        """Pings whose compressed pulse is never 0; None if a level of 0 dB does."""
        if self.panel.encoding != "complex_FM":
            return None
        shape = (pings, self._stored.width, self._stored.sectors)
        names = ("backscatter_r", "backscatter_i")
        return {
            name: np.broadcast_to(each, shape)
            for name, each in zip(names, noise(self._stored.width), strict=True)
        }

    def _computed(self, places: Ints, samples: Stored | None) -> tuple[Floats, Floats, Floats]:
        """Sv by ping and sample, first range and step by ping; without samples, of a level of 0 dB."""
        found = computed_sv(self.slices.of(places, samples), self.panel.encoding)
        values, ranges = (found[name].values[0] for name in ("Sv", "echo_range"))
        if samples is None and not np.isfinite(values).any():
            raise NotCalibratedError(
                "all Sv are NaN: a value that the calibration needs is missing"
            )
        return (values, *first_and_step(ranges))


def _groups(numbers: Ints) -> Iterator[Ints]:
    for number in np.unique(numbers):
        yield np.flatnonzero(numbers == number)


def calibrate_first_pings(calibrations: Sequence[ChannelCalibration]) -> None:
    """Compute the gains of the first pings of narrow-band channels, of each group by one call.

    A call of echopype takes as long for one ping as for thousands. Channels that cannot be
    calibrated together are left for `ChannelCalibration.check`.
    """
    groups: dict[tuple[str, str], list[ChannelCalibration]] = {}
    for each in calibrations:
        panel = each.panel
        if panel.pings.size and each.is_calibrated and panel.encoding in {"power", "complex_CW"}:
            groups.setdefault((panel.group, panel.encoding), []).append(each)
    for some in groups.values():
        for each, computed in zip(some, of_first_pings([e.slices for e in some]), strict=False):
            if np.isfinite(computed[0]).any():
                gain = _Gain(*(values[0] for values in computed))
                each.gains[int(each.slices.settings[0])] = gain

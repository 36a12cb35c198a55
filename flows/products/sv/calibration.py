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
from flows.products.sv.depth_bins import (
    Linear,
    first_and_step,
    groups_of,
    in_decibels,
    linear,
)
from flows.products.sv.gains import Gains, compute_first_gains
from flows.products.sv.group_parts import GroupParts
from flows.products.sv.panels import Floats, Ints, Panel
from flows.products.sv.power import compressed, mean_of_sectors
from flows.products.sv.stored_samples import Stored, StoredSamples

#: Most samples of a block, over its pings. Its arrays, of four to sixteen bytes a sample, stay in the
#: processor's cache, and in memory that needs not be requested from the system each time.
BLOCK_SAMPLES = 250_000
# Samples of a ping that are searched at once for the begin of padding.
_LOOKED_AT = 256


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


class ChannelCalibration:
    """One panel as Sv by range; if not `is_calibrated`, as recorded levels by sample number."""

    def __init__(
        self,
        echodata: Any,  # noqa: ANN401 - echopype ships no types
        panel: Panel,
        parts: GroupParts | None = None,
        *,
        is_calibrated: bool = True,
    ) -> None:
        self.panel = panel
        self.is_calibrated = is_calibrated
        self.slices = ChannelSlices(parts or GroupParts(echodata, panel.group), panel)
        self._stored = StoredSamples(echodata, panel)
        self.gains = Gains(self.slices, self._stored.width, self._stored.sectors)

    def check(self) -> None:
        """Calibrate one ping.

        Raises:
            NotCalibratedError: see `blocks`.
        """
        if self.panel.pings.size and self.is_calibrated:
            self.gains.at(0)

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
            last_sample = self._stored.last_sample(place)
            if last_sample is None:
                continue
            start, step = 0.0, 1.0
            if self.is_calibrated:
                gain = self.gains.at(place)
                start, step = gain.start, gain.step
            last = max(last, start + step * (last_sample + 1))
            first, finest = min(first, start), min(finest, step)
            if place == 0 and len(firsts) == 1 and last_sample == self._stored.width - 1:
                break
        return (first if np.isfinite(first) else 0.0, last, finest)

    def blocks(self, every: int = 1) -> Iterator[SvBlock]:
        """Every `every`-th ping, in blocks of at most BLOCK_SAMPLES samples.

        Raises:
            NotCalibratedError: echopype cannot calibrate it, or all of its Sv are NaN.
        """
        most = max(1, BLOCK_SAMPLES // max(1, self._stored.width))
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
        settings = self.slices.settings[places]
        if self.is_calibrated:
            self.gains.compute(np.unique(settings))
        if "backscatter_i" in decoded:
            power = self._power(places, decoded["backscatter_r"], decoded["backscatter_i"])
            is_level = False
        else:
            power, is_level = decoded["backscatter_r"], True
        start, step = np.zeros(places.size), np.ones(places.size)
        if self.is_calibrated:
            for rows in groups_of(settings):
                gain = self.gains.known[int(settings[rows[0]])]
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
        for rows in groups_of(self.slices.pulses[places]):
            samples = {"backscatter_r": counts[rows].astype(np.float64)}
            found = self.gains.computed(places[rows], samples)
            start[rows], step[rows] = first_and_step(found.ranges[0])
            values[rows] = found.values[0]
        return SvBlock(places, linear(values), start, step)

    def _power(self, places: Ints, real: NDArray[Any], imaginary: NDArray[Any]) -> Floats:
        """The power of complex samples; of FM, that of the compressed pulse."""
        power, end = np.empty(real.shape[:2]), _before_padding(real)
        power[:, end:] = np.nan
        mean, turned = mean_of_sectors(real[:, :end], imaginary[:, :end])
        if self.panel.encoding == "complex_FM":
            pulses = self.slices.pulses[places]
            for rows in groups_of(pulses):
                samples = np.empty((rows.size, mean.shape[1]), np.complex128)
                samples.real, samples.imag = mean[rows], turned[rows]
                found = compressed(samples, self.gains.replica(int(places[rows[0]])))
                mean[rows], turned[rows] = found.real, found.imag
        used = np.square(mean, out=power[:, :end])
        used += np.square(turned, out=turned)
        used[used == 0] = np.nan
        return power


def _before_padding(samples: NDArray[Any]) -> int:
    """How many samples to use of pings by samples: after these no ping has one."""
    end = int(samples.shape[1])
    while end > _LOOKED_AT and not np.isfinite(samples[:, end - _LOOKED_AT : end]).any():
        end -= _LOOKED_AT
    return end


def calibrate_first_pings(calibrations: Sequence[ChannelCalibration]) -> None:
    """Compute the gains of the first pings of Simrad's channels, of each group by one call."""
    compute_first_gains(
        [
            each.gains
            for each in calibrations
            if each.panel.pings.size and each.is_calibrated and each.panel.encoding != "counts"
        ]
    )

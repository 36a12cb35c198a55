"""What echopype's calibration adds to the level of a sample, for each setting of a channel.

The gain depends on the sample's number and on the ping's settings alone. So echopype
calibrates one ping of known power for each setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.products.sv.channel_slices import ChannelSlices
from flows.products.sv.depth_bins import first_and_step, groups_of
from flows.products.sv.echopype_sv import (
    ComputedSv,
    NotCalibratedError,
    computed_sv,
    of_first_pings,
)
from flows.products.sv.panels import Floats, Ints
from flows.products.sv.power import Complex, compressed, noise
from flows.products.sv.stored_samples import Stored

_GAINS_KEPT = 64


@dataclass(frozen=True, eq=False)
class Gain:
    """Of a setting: dB that it adds to a level, by sample; range of samples in m."""

    decibels: Floats
    start: float
    step: float


class Gains:
    """Those of one channel.

    Attributes:
        known: by the number of the setting (see `ChannelSlices.settings`).
    """

    def __init__(self, slices: ChannelSlices, width: int, sectors: int) -> None:
        self.slices = slices
        self.known: dict[int, Gain] = {}
        self._width, self._sectors = width, sectors
        self._replicas: dict[int, Complex] = {}

    def replica(self, place: int) -> Complex:
        """The FM pulse of a ping as its receiver filters it."""
        pulse = int(self.slices.pulses[place])
        if pulse not in self._replicas:
            try:
                found = self.computed(np.array([place]), self.known_pings(1))
                self._replicas[pulse] = found.replicas[0]
            except NotCalibratedError:
                # As recorded: not compressed.
                self._replicas[pulse] = np.ones(1, np.complex128)
        return self._replicas[pulse]

    def at(self, place: int) -> Gain:
        """What the setting of one ping adds to a level."""
        setting = int(self.slices.settings[place])
        self.compute(np.array([setting]))
        return self.known[setting]

    def compute(self, settings: Ints) -> None:
        """Compute those of some settings, unless they are known.

        Raises:
            NotCalibratedError: echopype cannot calibrate them, or all of their Sv are NaN.
        """
        missing = np.array([s for s in settings.tolist() if s not in self.known], np.intp)
        if len(self.known) + missing.size > _GAINS_KEPT:
            self.known = {s: self.known[s] for s in settings.tolist() if s in self.known}
        examples = np.array(
            [np.flatnonzero(self.slices.settings == s)[0] for s in missing], np.intp
        )
        for rows in groups_of(self.slices.pulses[examples]):
            computed = self.computed(examples[rows], self.known_pings(rows.size))
            for row, place in enumerate(examples[rows].tolist()):
                replica = computed.replicas[0] if computed.replicas else None
                self.keep(place, computed.values[0, row], computed.ranges[0, row], replica)

    def keep(self, place: int, values: Floats, ranges: Floats, replica: Complex | None) -> None:
        """Keep what echopype computes of a known ping with the setting of the ping at `place`.

        Args:
            place: the ping's.
            values: Sv of the known ping (samples).
            ranges: of its samples, in m.
            replica: of FM.
        """
        decibels = values
        if replica is not None:
            self._replicas[int(self.slices.pulses[place])] = replica
            power = np.abs(compressed(noise(self._width), replica)[0]) ** 2
            decibels = values - 10 * np.log10(np.where(power > 0, power, np.nan))
        start, step = first_and_step(ranges[None])
        self.known[int(self.slices.settings[place])] = Gain(decibels, start[0], step[0])

    def known_pings(self, pings: int) -> Stored | None:
        """Pings whose compressed pulse is never 0; None if a level of 0 dB does."""
        if self.slices.panel.encoding != "complex_FM":
            return None
        known = noise(self._width)[..., None]
        shape = (pings, self._width, self._sectors)
        return {
            "backscatter_r": np.broadcast_to(known.real, shape),
            "backscatter_i": np.broadcast_to(known.imag, shape),
        }

    def computed(self, places: Ints, samples: Stored | None) -> ComputedSv:
        """Sv of these pings with these samples, or of a level of 0 dB."""
        found = computed_sv(self.slices.of(places, samples), self.slices.panel.encoding)
        if samples is None and not np.isfinite(found.values).any():
            raise NotCalibratedError(
                "all Sv are NaN: a value that the calibration needs is missing"
            )
        return found


def compute_first_gains(channels: Sequence[Gains]) -> None:
    """Compute the gains of the first pings of Simrad's channels, of each group by one call.

    A call of echopype takes as long for one ping as for thousands. Channels that cannot be
    calibrated together are left for `Gains.compute`.
    """
    groups: dict[tuple[str, str], list[Gains]] = {}
    for each in channels:
        panel = each.slices.panel
        groups.setdefault((panel.group, panel.encoding), []).append(each)
    for some in groups.values():
        known = some[0].known_pings(len(some))
        samples = known and {name: values[:, None] for name, values in known.items()}
        found = of_first_pings([each.slices for each in some], samples)
        if found is None:
            continue
        for number, each in enumerate(some):
            if np.isfinite(found.values[number]).any():
                replica = found.replicas[number] if found.replicas else None
                each.keep(0, found.values[number, 0], found.ranges[number, 0], replica)

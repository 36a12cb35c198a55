"""Simulates a shelf sea at dusk as an echosounder on a survey vessel records it.

The scene has a seabed, a scattering layer that rises at dusk, a thin plankton layer
on the thermocline, schools of herring near the bottom and of mackerel above. Each
kind has its own frequency response, in dB relative to 38 kHz, as Korneliussen and
Ona (2002, ICES J. Mar. Sci. 59, 293-313) use it to distinguish them. The levels are
plausible but do not model a real survey.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_RESPONSE_AT = np.log([18_000, 38_000, 70_000, 120_000, 200_000, 333_000])
_HERRING = (1.0, 0.0, -1.5, -2.5, -3.5, -5.0)
_MACKEREL = (0.0, 0.0, 0.0, 2.0, 7.0, 6.0)
_LAYER_FISH = (3.0, 0.0, -3.0, -5.0, -7.0, -9.0)
_PLANKTON = (-10.0, 0.0, 6.0, 11.0, 14.0, 15.0)
_SEABED = (1.0, 0.0, -1.0, -2.0, -3.0, -4.0)

# Metres below the transducer.
_SEABED_DEPTH = 84.0
_DAY_DEPTH, _NIGHT_DEPTH = 60.0, 20.0
_TWILIGHT_HOURS = 0.35
_THERMOCLINE = 27.0
_PINGS_PER_SCHOOL = 17


class _School(NamedTuple):
    """A school: centre (ping, range in m), half axes (pings, m), level (dB), frequency response."""

    ping: float
    depth: float
    half_length: float
    half_height: float
    level: float
    response: tuple[float, ...]


class Sea:
    """The scene under one transect. Reading it in parts gives the same values each time.

    ``local_hours`` is the local solar time of each ping in hours, float64
    (pings,); ``ranges`` the range of each sample in metres, float32 (samples,).
    """

    def __init__(
        self,
        rng: np.random.Generator,
        local_hours: npt.NDArray[np.float64],
        ranges: Floats,
    ) -> None:
        """Generate the seabed, the layer's depth and the schools of the whole transect."""
        pings = local_hours.size
        self._ranges = ranges
        self._positions = np.arange(ranges.size, dtype=np.float32)
        self.seabed = (
            _SEABED_DEPTH
            + 6.0 * _fractal_line(rng, pings, 120, 4)
            + 0.8 * _fractal_line(rng, pings, 17, 3)
            + 0.25 * _fractal_line(rng, pings, 3, 2)
        ).clip(0.5 * _SEABED_DEPTH, 1.5 * _SEABED_DEPTH)
        self._hardness = 1.5 * _fractal_line(rng, pings, 60, 3)
        night = _nightness(local_hours).astype(np.float32)
        self._layer = (
            _DAY_DEPTH
            + (_NIGHT_DEPTH - _DAY_DEPTH) * night
            + 1.6 * _fractal_line(rng, pings, 45, 3)
        )
        self._thermocline = _THERMOCLINE + 1.2 * _fractal_line(rng, pings, 25, 3)
        shape = (pings, ranges.size)
        self._patches = _Texture(rng, shape, (22, 16))
        self._wisps = _Texture(rng, shape, (5, 6))
        self._schools = list(self._draw_schools(rng, pings))

    def _draw_schools(self, rng: np.random.Generator, pings: int) -> Iterator[_School]:
        for _ in range(max(1, round(pings / _PINGS_PER_SCHOOL))):
            ping = rng.uniform(0, pings)
            floor = float(self.seabed[int(ping)])
            half_length = 1.5 + rng.gamma(2.0, 2.5)
            if rng.random() < 0.65:
                half_height = rng.uniform(1.5, 7.0)
                altitude = half_height + rng.gamma(2.0, 2.5) + 0.5
                level = rng.normal(-58.0, 4.0)
                yield _School(ping, floor - altitude, half_length, half_height, level, _HERRING)
            else:
                half_height = rng.uniform(1.5, 3.5)
                depth = rng.uniform(0.13, 0.5) * floor
                level = rng.normal(-70.0, 3.0)
                yield _School(ping, depth, half_length, half_height, level, _MACKEREL)

    def backscatter(self, frequency: float, pings: slice) -> Floats:
        """Return the mean volume backscattering coefficient of ``pings`` at ``frequency`` (Hz).

        Linear, in 1/m, float32 of shape (pings, samples). It includes the seabed and
        its second echo, scaled as volume backscatter.
        """
        numbers = np.arange(pings.start, pings.stop, dtype=np.float32)
        texture = self._patches.at(numbers, self._positions)
        wisps = self._wisps.at(numbers, self._positions)
        depth = self._ranges[None, :]
        above = depth - self._layer[pings, None]
        thickness = np.where(above < 0, np.float32(4.0), np.float32(7.5))
        layer = -64.0 - 4.34 * (above / thickness) ** 2 + 4.0 * texture + 2.5 * wisps
        skin = (depth - self._thermocline[pings, None]) / 2.2
        plankton = np.maximum(
            -79.0 - 4.34 * skin**2 + 3.0 * texture + 2.0 * wisps,
            -96.0 - 0.03 * depth + 2.0 * texture,
        )
        water = _linear(layer + _response(_LAYER_FISH, frequency)) + _linear(
            plankton + _response(_PLANKTON, frequency)
        )
        self._add_schools(water, wisps, pings.start, frequency)

        seabed = self.seabed[pings, None]
        water[depth > seabed] = 0.0
        hardness = self._hardness[pings, None] + _response(_SEABED, frequency)
        steepness = (frequency / 38_000) ** 0.12
        water += _bottom_echo(depth - seabed, -9.0 + hardness, steepness, rise=0.5)
        second = 2 * seabed + 5.0
        water += _bottom_echo(depth - second, -34.0 + 2 * hardness, steepness, rise=2.0)
        return water

    def _add_schools(self, water: Floats, wisps: Floats, first_ping: int, frequency: float) -> None:
        """Add the schools to ``water`` (pings, samples), with irregular edges."""
        step = float(self._ranges[1] - self._ranges[0]) if self._ranges.size > 1 else 1.0
        for school in self._schools:
            across, down = 1.7 * school.half_length, 1.7 * school.half_height
            rows = _window(school.ping - first_ping, across, water.shape[0])
            columns = _window(school.depth / step, down / step, water.shape[1])
            if rows.start == rows.stop or columns.start == columns.stop:
                continue
            along = (np.arange(rows.start, rows.stop) + first_ping - school.ping)[:, None]
            upright = self._ranges[None, columns] - school.depth
            body = 1 - (along / school.half_length) ** 2 - (upright / school.half_height) ** 2
            body = body + 0.6 * wisps[rows, columns]
            level = school.level + _response(school.response, frequency) + 14.0 * body.clip(max=1)
            water[rows, columns] += np.where(body > 0, _linear(level), 0).astype(np.float32)


def _nightness(hours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 0 by day to 1 by night for local solar hours, with transitions at 6 and 18 o'clock."""
    hours = hours % 24
    dawn, dusk = ((hours - at) / _TWILIGHT_HOURS for at in (6.0, 18.0))
    return 1 - (np.tanh(dawn) - np.tanh(dusk)) / 2


def _bottom_echo(below: Floats, level: Floats, steepness: float, rise: float) -> Floats:
    """Return the bottom echo ``below`` (m) the seabed: a rise, a plateau, a long tail."""
    depth = np.maximum(below, 0)
    tail = 30 * (1 - np.exp(-depth * steepness / 2.5)) + 1.5 * depth * steepness
    onset = 12 * np.exp(-depth / rise)
    echo: Floats = np.where(below >= 0, _linear(level - tail - onset), np.float32(0))
    return echo


def _response(levels: tuple[float, ...], frequency: float) -> np.float32:
    return np.float32(np.interp(np.log(frequency), _RESPONSE_AT, levels))


def _linear(decibels: npt.NDArray[np.floating]) -> Floats:
    """Convert dB to a linear value; values far below any noise are clipped."""
    linear: Floats = np.exp(np.maximum(decibels, -150).astype(np.float32) * np.float32(0.2302585))
    return linear


def _window(centre: float, half: float, size: int) -> slice:
    """Return the indices within ``half`` of ``centre``, kept inside ``size``."""
    start, stop = (int(np.clip(edge, 0, size)) for edge in (centre - half, centre + half + 1))
    return slice(start, stop)


def _fractal_line(rng: np.random.Generator, count: int, scale: float, octaves: int) -> Floats:
    """Return a rough line of shape (count,): noise of ``scale`` steps plus finer, weaker noise."""
    line = np.zeros(count, dtype=np.float32)
    for octave in range(octaves):
        step = max(scale / 2**octave, 1.0)
        knots = rng.standard_normal(int(count / step) + 2, dtype=np.float32)
        index, blend = _between_knots(np.arange(count, dtype=np.float32) / np.float32(step))
        line += (knots[index] * (1 - blend) + knots[index + 1] * blend) / np.float32(2**octave)
    return line


class _Texture:
    """A field over pings and ranges. Reading it in parts gives the same values each time."""

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        scales: tuple[float, float],
    ) -> None:
        """Generate the lattice for ``shape`` (pings, samples) with cells of ``scales`` steps."""
        rows, columns = (int(n / scale) + 2 for n, scale in zip(shape, scales, strict=True))
        self._knots = rng.standard_normal((rows, columns), dtype=np.float32)
        self._scales = scales

    def at(self, pings: npt.NDArray[np.float32], samples: npt.NDArray[np.float32]) -> Floats:
        """Return the field at ``pings`` (p,) by ``samples`` (s,), counted from 0: shape (p, s)."""
        row, down = _between_knots(pings / np.float32(self._scales[0]))
        column, across = _between_knots(samples / np.float32(self._scales[1]))
        return _blend(_blend(self._knots.T, column, across).T, row, down)


def _blend(knots: Floats, index: npt.NDArray[np.intp], share: Floats) -> Floats:
    """Interpolate between the rows of ``knots`` (k, n) at each index by its ``share``: shape (i, n)."""
    before: Floats = knots[index]
    before += (knots[index + 1] - before) * share[:, None]
    return before


def _between_knots(position: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Split positions into the knot before and a smooth interpolation weight from 0 to 1."""
    index = position.astype(np.intp)
    rest = position - index.astype(np.float32)
    return index, rest * rest * (3 - 2 * rest)

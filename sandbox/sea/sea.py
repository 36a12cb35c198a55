"""A shelf sea at dusk, as the transceivers of a survey vessel receive it.

It has a seabed, a scattering layer that rises at dusk, plankton on the thermocline, schools of herring
near the bottom and of mackerel above. Levels are plausible but do not model a real survey. Frequency
responses, in dB relative to 38 kHz, distinguish the kinds as in Korneliussen and Ona (2002, ICES
J. Mar. Sci. 59, 293-313).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sandbox.sea.ek60 import (
    POWER_STEP_DB,
    PULSE_LENGTH,
    SA_CORRECTION,
    SAMPLE_INTERVAL,
    SOUND_SPEED,
    Transceiver,
)

Floats = npt.NDArray[np.float32]

_AT = np.log([18_000, 38_000, 70_000, 120_000, 200_000, 333_000])
_HERRING = (1.0, 0.0, -1.5, -2.5, -3.5, -5.0)
_MACKEREL = (0.0, 0.0, 0.0, 2.0, 7.0, 6.0)
_LAYER_FISH = (3.0, 0.0, -3.0, -5.0, -7.0, -9.0)
_PLANKTON = (-10.0, 0.0, 6.0, 11.0, 14.0, 15.0)
_SEABED = (1.0, 0.0, -1.0, -2.0, -3.0, -4.0)
#: Noise power at the receiver in dB re 1 W: from the ship at low frequencies, from the amplifier above.
_NOISE = (-138.0, -146.0, -150.0, -152.0, -153.0, -153.0)
_PINGS_PER_SCHOOL = 17
#: Metres between samples.
_STEP = SAMPLE_INTERVAL * SOUND_SPEED / 2


class Sea:
    """The sea under a transect. Each part of it can be computed alone: it has no edges inside.

    `hours` returns the local solar time of pings in hours.
    """

    def __init__(
        self, rng: np.random.Generator, pings: int, samples: int, hours: Callable[[Any], Any]
    ) -> None:
        self._depth, self._hours = np.arange(samples, dtype=np.float32) * np.float32(_STEP), hours
        self._seabed, self._hardness, self._lift = (_field(rng, each) for each in (60, 30, 25))
        self._patches, self._wisps = _field(rng, 11, 1.5), _field(rng, 3, 0.6)
        count = max(1, round(pings / _PINGS_PER_SCHOOL))
        # Ping, half a length in pings, half a height and distance from the bottom or surface in m.
        draws = (rng.uniform(0, pings, count), 1.5 + rng.gamma(2.0, 2.5, count))
        self._schools = list(
            zip(*draws, rng.uniform(1.5, 6, count), rng.gamma(2.0, 2.5, count), strict=True)
        )

    def backscatter(self, pings: Floats, frequencies: Sequence[float]) -> Iterator[Floats]:
        """Yield the mean volume backscatter at each frequency in Hz.

        Linear, in 1/m, float32 (pings, samples). It has the seabed and its second echo, too.
        """
        ping, depth = pings[:, None], self._depth[None, :]
        seabed = 84 + 5 * self._seabed(ping, 0) + 0.8 * self._patches(ping, 0)
        texture, wisps = self._patches(ping, depth), self._wisps(ping, depth)
        hour = self._hours(ping) % 24
        night = 1 - (np.tanh((hour - 6) / 0.35) - np.tanh((hour - 18) / 0.35)) / 2
        above = depth - (60 - 40 * night.astype(np.float32) + 1.6 * self._lift(ping, 0))
        layer = -64 - 4.34 * (above / np.where(above < 0, 4, 7.5)) ** 2 + 4 * texture + 2.5 * wisps
        skin = (depth - 27 - self._lift(ping + 99, 0)) / 2.2
        plankton = np.maximum(
            -79 - 4.34 * skin**2 + 3 * texture + 2 * wisps, -96 - 0.03 * depth + 2 * texture
        )
        schools = list(self._schools_of(pings, seabed, wisps))
        for frequency in frequencies:
            water = _linear(layer + _at(_LAYER_FISH, frequency))
            water += _linear(plankton + _at(_PLANKTON, frequency))
            for rows, level, response in schools:
                water[rows] += _linear(level + _at(response, frequency))
            water[depth > seabed] = 0
            hardness = 1.5 * self._hardness(ping, 0) + _at(_SEABED, frequency)
            steepness = (frequency / 38_000) ** 0.12
            water += _bottom(depth - seabed, -9 + hardness, steepness, 0.5)
            water += _bottom(depth - 2 * seabed - 5, -34 + 2 * hardness, steepness, 2.0)
            yield water

    def _schools_of(
        self, pings: Floats, seabed: Floats, wisps: Floats
    ) -> Iterator[tuple[slice, Floats, tuple[float, ...]]]:
        """Yield the rows of each school with its level in dB, with irregular edges."""
        for number, (centre, length, height, distance) in enumerate(self._schools):
            near = [centre - 1.7 * length, centre + 1.7 * length]
            rows = slice(*np.searchsorted(pings, near).tolist())
            if rows.start == rows.stop:
                continue
            herring = number % 3
            floor = seabed[rows]
            middle = floor - height - distance - 0.5 if herring else 12 + 2 * distance
            body = 1 - ((pings[rows, None] - centre) / length) ** 2 + 0.6 * wisps[rows]
            body = body - ((self._depth - middle) / height) ** 2
            level = (-58 if herring else -70) + 14 * body.clip(max=1)
            yield rows, np.where(body > 0, level, -200), _HERRING if herring else _MACKEREL


def receive(
    backscatter: Floats, channel: Transceiver, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
    """Convert mean backscatter (1/m, float32 (pings, samples)) to the file's samples.

    Returns power, int16 (pings, samples) in steps of POWER_STEP_DB re 1 W, and
    electrical angles, int8 (pings, samples, 2). The sonar equation is the inverse of that in
    echopype's `calibrate/calibrate_ek.py`. Echo intensity is exponentially distributed, as
    from many scatterers; the first metres have the transmit pulse and its ringing.
    """
    distance = np.arange(backscatter.shape[1]) * _STEP
    # A GPT starts to record two samples before the range its TVG counts from.
    tvg_range = np.maximum(distance - 2 * _STEP, _STEP)
    fading = rng.standard_exponential(backscatter.shape, dtype=np.float32)
    fading[:, 1:] = 0.55 * fading[:, 1:] + 0.45 * fading[:, :-1]
    volume = (SOUND_SPEED / channel.frequency) ** 2 * PULSE_LENGTH * SOUND_SPEED / 32 / math.pi**2
    constant = 10 * math.log10(channel.transmit_power * volume)
    constant += 2 * (channel.gain + SA_CORRECTION) + channel.equivalent_beam_angle
    loss = 20 * np.log10(tvg_range) + 2 * channel.absorption * tvg_range
    echo = backscatter * _linear(constant - loss) * fading
    noise = rng.standard_exponential(backscatter.shape, dtype=np.float32)
    noise *= _linear(_at(_NOISE, channel.frequency))
    after = distance - PULSE_LENGTH * SOUND_SPEED / 2
    # The pulse's level hardly changes from ping to ping; its ringing does.
    ringing = _linear(np.where(after < 0, 21.0, -22.0 - 15.0 * after)) * (0.9 + 0.1 * fading)
    decibels = 10 * np.log10(echo + noise + ringing)
    power = np.rint(decibels / POWER_STEP_DB).clip(-32767, 32767).astype(np.int16)
    # Angles are random; those of echoes, within the beam's width, cover an eighth of the circle.
    angles = rng.integers(-128, 128, size=(*power.shape, 2), dtype=np.int8)
    angles[echo > noise] //= 8
    return power, angles


def _field(
    rng: np.random.Generator, pings: float, metres: float = math.inf
) -> Callable[[Any, Any], Floats]:
    """Return a random field over pings and depths that varies over these lengths, mostly within ±2."""
    waves = rng.normal(size=(8, 2)) / (pings, metres)
    waves = np.column_stack([waves, rng.uniform(0, 2 * math.pi, 8)]).astype(np.float32)

    def at(ping: Any, depth: Any) -> Floats:  # noqa: ANN401 - arrays or numbers
        found: Floats = sum(np.cos(ping * a + depth * b + c) for a, b, c in waves) / np.float32(2)
        return found

    return at


def _bottom(below: Floats, level: Floats, steepness: float, rise: float) -> Floats:
    """Return the bottom echo `below` (m) the seabed: a rise, a plateau, a long tail."""
    depth = np.maximum(below, 0) * steepness
    tail = 30 * (1 - np.exp(-depth / 2.5)) + 1.5 * depth + 12 * np.exp(-depth / rise)
    return np.where(below >= 0, _linear(level - tail), np.float32(0))


def _at(levels: tuple[float, ...], frequency: float) -> np.float32:
    return np.float32(np.interp(np.log(frequency), _AT, levels))


def _linear(decibels: Any) -> Floats:  # noqa: ANN401 - arrays or numbers
    """Convert dB to a linear value; very low values are clipped to fit float32."""
    linear: Floats = np.exp(np.maximum(decibels, -300).astype(np.float32) * np.float32(0.2302585))
    return linear

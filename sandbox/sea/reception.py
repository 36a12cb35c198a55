"""Computes the samples that a transceiver stores from backscatter in the sea.

It applies the sonar equation for volume backscatter: received power is sv minus
spreading and absorption, times a constant of the channel. echopype inverts the same
equation in `calibrate/calibrate_ek.py` for the power samples of an EK60.
"""

import math

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

_NOISE_AT = np.log([18_000, 38_000, 70_000, 120_000, 200_000, 333_000])
#: Noise power at the receiver in dB re 1 W: from the ship at low frequencies, from the amplifier above.
_NOISE_DB = (-138.0, -146.0, -150.0, -152.0, -153.0, -153.0)
_TRANSMIT_DB = 21.0
_RINGDOWN_START_DB, _RINGDOWN_DB_PER_METRE = -22.0, 15.0
#: A GPT starts to record this many samples before the range its TVG counts from.
_TVG_DELAY_SAMPLES = 2
#: Metres between samples.
_STEP = SAMPLE_INTERVAL * SOUND_SPEED / 2


def ranges(samples: int) -> npt.NDArray[np.float32]:
    """Return the range of each sample in metres, float32 (samples,)."""
    return np.arange(samples, dtype=np.float32) * np.float32(_STEP)


def receive(
    backscatter: npt.NDArray[np.float32], channel: Transceiver, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
    """Convert mean backscatter (1/m, float32 (pings, samples)) to the file's samples.

    Returns power, int16 (pings, samples) in steps of POWER_STEP_DB re 1 W, and
    electrical angles, int8 (pings, samples, 2). Echo intensity is exponentially
    distributed, as from many scatterers. Noise does not depend on range. The first
    metres contain the transmit pulse and its ringing.
    """
    distance = ranges(backscatter.shape[1])
    tvg_range = np.maximum(distance - _TVG_DELAY_SAMPLES * _STEP, _STEP)
    fading = rng.standard_exponential(backscatter.shape, dtype=np.float32)
    fading[:, 1:] = 0.55 * fading[:, 1:] + 0.45 * fading[:, :-1]
    loss_db = 20 * np.log10(tvg_range) + 2 * channel.absorption * tvg_range
    echo = backscatter * _linear(_system_constant_db(channel) - loss_db) * fading

    noise_db = np.interp(np.log(channel.frequency), _NOISE_AT, _NOISE_DB)
    noise = rng.standard_exponential(backscatter.shape, dtype=np.float32)
    noise *= np.float32(10 ** (noise_db / 10))
    pulse = PULSE_LENGTH * SOUND_SPEED / 2
    ringing_db = np.where(
        distance < pulse,
        _TRANSMIT_DB,
        _RINGDOWN_START_DB - _RINGDOWN_DB_PER_METRE * (distance - pulse),
    )
    # The pulse's level hardly changes from ping to ping; its ringing does.
    ringing = _linear(ringing_db) * (0.9 + 0.1 * fading)
    decibels = 10 * np.log10(echo + noise + ringing)
    power = np.rint(decibels / POWER_STEP_DB).clip(-32767, 32767).astype(np.int16)

    # Angles are random; those of echoes, within the beam's width, cover an eighth of the circle.
    angles = rng.integers(-128, 128, size=(*power.shape, 2), dtype=np.int8)
    angles[echo > noise] //= 8
    return power, angles


def _system_constant_db(channel: Transceiver) -> float:
    """Return 10 log10 of received power over sv at 1 m, without loss (echopype's CSv + 2 Sa)."""
    wavelength = SOUND_SPEED / channel.frequency
    volume = wavelength**2 * PULSE_LENGTH * SOUND_SPEED / (32 * math.pi**2)
    return (
        10 * math.log10(channel.transmit_power * volume)
        + 2 * (channel.gain + SA_CORRECTION)
        + channel.equivalent_beam_angle
    )


def _linear(decibels: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Convert dB to a linear value; very low values are clipped to fit float32."""
    linear: npt.NDArray[np.float32] = (10 ** (np.maximum(decibels, -300) / 10)).astype(np.float32)
    return linear

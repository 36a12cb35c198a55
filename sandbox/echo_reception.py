"""From backscatter in the sea to the samples a transceiver stores.

The sonar equation for volume backscatter, as echopype inverts it in
``calibrate/calibrate_ek.py`` for the power samples of an EK60: received power is
sv less spreading and absorption, times a constant of the channel.
"""

import math

import numpy as np
import numpy.typing as npt

from sandbox.ek60_datagrams import POWER_STEP_DB, Transceiver

_NOISE_AT = np.log([18_000, 38_000, 70_000, 120_000, 200_000, 333_000])
#: Noise power at the receiver in dB re 1 W: the ship's at low frequencies, the amplifier's above.
_NOISE_DB = (-138.0, -146.0, -150.0, -152.0, -153.0, -153.0)
_TRANSMIT_DB = 21.0
_RINGDOWN_START_DB = -22.0
_RINGDOWN_DB_A_METRE = 15.0
#: A GPT starts to record this many samples before the range its TVG counts from.
_TVG_DELAY_SAMPLES = 2


def ranges(channel: Transceiver, samples: int, sound_speed: float) -> npt.NDArray[np.float32]:
    """Give the range of each sample in metres, float32 (samples,)."""
    step = channel.sample_interval * sound_speed / 2
    return np.arange(samples, dtype=np.float32) * np.float32(step)


def receive(
    backscatter: npt.NDArray[np.float32],
    channel: Transceiver,
    sound_speed: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
    """Turn mean backscatter (1/m, float32 (pings, samples)) into what the file holds.

    Returns power, int16 (pings, samples) in steps of POWER_STEP_DB re 1 W, and
    electrical angles, int8 (pings, samples, 2). Echoes fade as those of many
    scatterers do (exponentially distributed intensity), noise does not depend
    on range, and the first metres hold the transmit pulse and its ringing.
    """
    distance = ranges(channel, backscatter.shape[1], sound_speed)
    step = channel.sample_interval * sound_speed / 2
    tvg_range = np.maximum(distance - _TVG_DELAY_SAMPLES * step, step)
    fading = rng.standard_exponential(backscatter.shape, dtype=np.float32)
    fading[:, 1:] = 0.55 * fading[:, 1:] + 0.45 * fading[:, :-1]
    loss_db = 20 * np.log10(tvg_range) + 2 * channel.absorption * tvg_range
    gain = _linear(_system_constant_db(channel, sound_speed) - loss_db)
    echo = backscatter * gain * fading

    noise_db = np.interp(np.log(channel.frequency), _NOISE_AT, _NOISE_DB)
    noise = rng.standard_exponential(backscatter.shape, dtype=np.float32)
    noise *= np.float32(10 ** (noise_db / 10))
    pulse = channel.pulse_length * sound_speed / 2
    ringing_db = np.where(
        distance < pulse,
        _TRANSMIT_DB,
        _RINGDOWN_START_DB - _RINGDOWN_DB_A_METRE * (distance - pulse),
    )
    # The pulse's own level hardly changes from ping to ping, its ringing does.
    ringing = _linear(ringing_db) * (0.9 + 0.1 * fading)
    decibels = 10 * np.log10(echo + noise + ringing)
    power = np.rint(decibels / POWER_STEP_DB).clip(-32767, 32767).astype(np.int16)
    return power, _angles(echo > noise, rng)


def _angles(heard: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.int8]:
    """Give angles near the axis where an echo is ``heard``, and any angle where noise is."""
    angles = rng.integers(-128, 128, size=(*heard.shape, 2), dtype=np.int8)
    # An eighth of the circle: what a beam's width lets echoes spread over.
    angles[heard] //= 8
    return angles


def _system_constant_db(channel: Transceiver, sound_speed: float) -> float:
    """Give 10 log10 of received power over sv at 1 m, without loss (echopype's CSv + 2 Sa)."""
    wavelength = sound_speed / channel.frequency
    volume = wavelength**2 * channel.pulse_length * sound_speed / (32 * math.pi**2)
    return (
        10 * math.log10(channel.transmit_power * volume)
        + 2 * (channel.gain + channel.sa_correction)
        + channel.equivalent_beam_angle
    )


def _linear(decibels: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Turn dB into a linear value, no fainter than float32 can hold."""
    linear: npt.NDArray[np.float32] = (10 ** (np.maximum(decibels, -300) / 10)).astype(np.float32)
    return linear

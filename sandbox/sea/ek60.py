"""Datagrams of an EK60 file, and the transceivers of a research vessel.

Layout: docs/data-formats.md, after the ER60 reference manual, chapter "Raw data format".
"""

import math
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: One step of a stored power sample in dB: the EK60 stores log2 of power in 8.8 fixed point.
POWER_STEP_DB = 10 * math.log10(2) / 256
#: The same for every channel: m/s, seconds, seconds, dB.
SOUND_SPEED, PULSE_LENGTH, SAMPLE_INTERVAL, SA_CORRECTION = 1490.0, 0.001024, 0.000256, -0.5
_BANDWIDTH, _TEMPERATURE, _TRANSDUCER_DEPTH = 2425.0, 10.0, 5.0

_FRAME = struct.Struct("<i4sQ")
_CONFIGURATION = struct.Struct("<128s128s128s30s98si")
_TRANSCEIVER = struct.Struct("<128si15f5f8s5f8s5f8s16s28s")
_SAMPLES = struct.Struct("<hh13fh6sii")
_PULSE_LENGTHS = (0.000256, 0.000512, PULSE_LENGTH, 0.002048, 0.004096)
_SPLIT_BEAM, _POWER_AND_ANGLE = 1, 3
_NT_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


class Transceiver(NamedTuple):
    """One channel: a general purpose transceiver with its transducer.

    Frequency in Hz, power in W, gain and equivalent beam angle in dB, beam width in
    degrees, absorption in dB/m.
    """

    frequency: float
    transducer: str
    transmit_power: float
    gain: float
    equivalent_beam_angle: float
    beamwidth: float
    angle_sensitivity: float
    absorption: float


# Gains, equivalent beam angles and beam widths are close to Simrad's data sheets. Transmit powers
# follow Korneliussen et al. (2008, ICES J. Mar. Sci. 65, 982-994), which avoid non-linear loss.
# Absorption follows Francois and Garrison (1982) at 10 degrees Celsius, salinity 35 and 50 m.
TRANSCEIVERS = {
    18_000: Transceiver(18_000, "ES18-11", 2000, 22.9, -17.0, 10.9, 13.9, 0.0028),
    38_000: Transceiver(38_000, "ES38B", 2000, 26.5, -20.6, 7.1, 21.9, 0.0101),
    70_000: Transceiver(70_000, "ES70-7C", 750, 27.0, -21.0, 6.6, 23.0, 0.0235),
    120_000: Transceiver(120_000, "ES120-7C", 250, 27.0, -21.0, 6.7, 23.0, 0.0385),
    200_000: Transceiver(200_000, "ES200-7C", 120, 27.0, -20.7, 6.7, 23.0, 0.0540),
    333_000: Transceiver(333_000, "ES333-7C", 50, 25.0, -20.7, 7.0, 23.0, 0.0797),
}


class Motion(NamedTuple):
    """The ship during a ping: heave in metres, the rest in degrees."""

    heave: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    heading: float = 0.0


def datagram(kind: bytes, when: datetime, body: bytes) -> bytes:
    """Wrap a body as a datagram of the 4-byte type `kind`; `when` has a time zone."""
    length, ticks = 12 + len(body), (when - _NT_EPOCH) // timedelta(microseconds=1) * 10
    return _FRAME.pack(length, kind, ticks) + body + struct.pack("<i", length)


def configuration(transceivers: Sequence[Transceiver], survey: str) -> bytes:
    """Return the body of CON0, the file's first datagram: the sounder and every channel."""
    head = _CONFIGURATION.pack(
        survey.encode("latin-1"), b"1", b"ER60", b"2.4.3", b"", len(transceivers)
    )
    return head + b"".join(_channel(*each) for each in enumerate(transceivers, start=1))


def _channel(number: int, channel: Transceiver) -> bytes:
    kilohertz = round(channel.frequency / 1000)
    name = f"GPT {kilohertz:3d} kHz 0090720{kilohertz:05x} {number} {channel.transducer}"
    corrections = [SA_CORRECTION if each == PULSE_LENGTH else 0.0 for each in _PULSE_LENGTHS]
    return _TRANSCEIVER.pack(
        name.encode("latin-1"),
        _SPLIT_BEAM,
        channel.frequency,
        channel.gain,
        channel.equivalent_beam_angle,
        *(channel.beamwidth,) * 2,
        *(channel.angle_sensitivity,) * 2,
        *(0.0,) * 8,  # angle offsets; the transducer's position and direction
        *_PULSE_LENGTHS,
        b"",
        *(channel.gain,) * len(_PULSE_LENGTHS),
        b"",
        *corrections,
        b"",
        b"070413",  # version of the transceiver software
        b"",
    )


def text(line: str) -> bytes:
    """Return the body of NME0 or TAG0: a text, a zero byte, zeros to a multiple of 4 bytes."""
    body = line.encode("latin-1") + b"\0"
    return body + b"\0" * (-len(body) % 4)


def samples(
    number: int,
    channel: Transceiver,
    motion: Motion,
    power: npt.NDArray[np.int16],
    angle: npt.NDArray[np.int8],
) -> bytes:
    """Return the body of RAW0: one ping of the channel `number` (from 1).

    `power` has shape (samples,), in steps of POWER_STEP_DB re 1 W. `angle` has
    shape (samples, 2): electrical angles in steps of 180/128 degrees, athwartship and
    alongship. Raises ValueError if the lengths differ.
    """
    if angle.shape != (*power.shape, 2):
        raise ValueError(f"angles of shape {angle.shape} do not fit power of {power.shape}")
    head = _SAMPLES.pack(
        number,
        _POWER_AND_ANGLE,
        _TRANSDUCER_DEPTH,
        channel.frequency,
        channel.transmit_power,
        PULSE_LENGTH,
        _BANDWIDTH,
        SAMPLE_INTERVAL,
        SOUND_SPEED,
        channel.absorption,
        motion.heave,
        motion.roll,
        motion.pitch,
        _TEMPERATURE,
        motion.heading,
        0,  # transmit mode: active
        b"",
        0,  # offset of the first sample
        power.size,
    )
    return head + power.astype("<i2").tobytes() + angle.tobytes()

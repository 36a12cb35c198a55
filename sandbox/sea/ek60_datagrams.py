"""Bodies of the datagrams of an EK60 file: CON0, NME0, TAG0 and RAW0.

Field order and sizes follow the ER60 reference manual, chapter "Raw data format":
little-endian, no padding between fields, text zero-filled (latin-1). echopype reads
them in ``convert/utils/ek_raw_parsers.py``. Depths, lengths and offsets are in
metres, angles in degrees, times in seconds.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: One step of a stored power sample in dB: the EK60 stores log2 of power in 8.8 fixed point.
POWER_STEP_DB = 10 * math.log10(2) / 256

_CONFIGURATION = struct.Struct("<128s128s128s30s98si")
_TRANSCEIVER = struct.Struct("<128si15f5f8s5f8s5f8s16s28s")
_SAMPLES = struct.Struct("<hh13fh6sii")
_PULSE_LENGTHS = (0.000256, 0.000512, 0.001024, 0.002048, 0.004096)
_SPLIT_BEAM = 1
_POWER_AND_ANGLE = 3


@dataclass(frozen=True, slots=True)
class Transceiver:
    """One channel: a general purpose transceiver with its transducer and calibration.

    Frequency and bandwidth in Hz, power in W, gain, equivalent beam angle and
    Sa correction in dB, beam width in degrees, absorption in dB/m. The pulse
    length must be 0.256, 0.512, 1.024, 2.048 or 4.096 ms.
    """

    frequency: float
    transducer: str
    transmit_power: float
    gain: float
    equivalent_beam_angle: float
    beamwidth: float
    angle_sensitivity: float
    absorption: float
    sa_correction: float = -0.5
    pulse_length: float = 0.001024
    sample_interval: float = 0.000256
    bandwidth: float = 2425.0

    def channel_id(self, number: int) -> str:
        """Return the channel's name as a GPT writes it: frequency, serial number, position, transducer."""
        kilohertz = round(self.frequency / 1000)
        return f"GPT {kilohertz:3d} kHz 0090720{kilohertz:05x} {number} {self.transducer}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Water properties and ship motion of one ping, the same on every channel.

    Sound speed in m/s, temperature in degrees Celsius, heave and transducer
    depth in metres, roll, pitch and heading in degrees.
    """

    sound_speed: float = 1490.0
    temperature: float = 10.0
    transducer_depth: float = 5.0
    heave: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    heading: float = 0.0


def configuration_body(transceivers: Sequence[Transceiver], survey: str, transect: str) -> bytes:
    """Return the body of CON0, the file's first datagram: the sounder and every channel."""
    head = _CONFIGURATION.pack(
        _text(survey), _text(transect), b"ER60", b"2.4.3", b"", len(transceivers)
    )
    channels = (_transceiver(number, t) for number, t in enumerate(transceivers, start=1))
    return b"".join((head, *channels))


def _transceiver(number: int, channel: Transceiver) -> bytes:
    table_position = _PULSE_LENGTHS.index(channel.pulse_length)
    sa_corrections = [0.0] * len(_PULSE_LENGTHS)
    sa_corrections[table_position] = channel.sa_correction
    return _TRANSCEIVER.pack(
        _text(channel.channel_id(number)),
        _SPLIT_BEAM,
        channel.frequency,
        channel.gain,
        channel.equivalent_beam_angle,
        *(channel.beamwidth,) * 2,
        *(channel.angle_sensitivity,) * 2,
        *(0.0,) * 2,  # angle offsets, alongship and athwartship
        *(0.0,) * 6,  # the transducer's position and direction
        *_PULSE_LENGTHS,
        b"",
        *(channel.gain,) * len(_PULSE_LENGTHS),
        b"",
        *sa_corrections,
        b"",
        b"070413",  # version of the transceiver software
        b"",
    )


def text_body(text: str) -> bytes:
    """Return the body of NME0 (one NMEA 0183 sentence) or TAG0 (an annotation).

    The text ends with a zero byte and is padded with zeros to a multiple of 4 bytes.
    """
    line = _text(text) + b"\0"
    return line + b"\0" * (-len(line) % 4)


def samples_body(
    number: int,
    channel: Transceiver,
    conditions: Conditions,
    power: npt.NDArray[np.int16],
    angle: npt.NDArray[np.int8],
) -> bytes:
    """Return the body of RAW0: one ping of the channel ``number`` (from 1).

    ``power`` has shape (samples,), in steps of POWER_STEP_DB re 1 W. ``angle`` has
    shape (samples, 2): electrical angles in steps of 180/128 degrees, athwartship in
    the low byte and alongship in the high byte. Raises ValueError if the lengths differ.
    """
    if angle.shape != (*power.shape, 2):
        raise ValueError(f"angles of shape {angle.shape} do not fit power of {power.shape}")
    head = _SAMPLES.pack(
        number,
        _POWER_AND_ANGLE,
        conditions.transducer_depth,
        channel.frequency,
        channel.transmit_power,
        channel.pulse_length,
        channel.bandwidth,
        channel.sample_interval,
        conditions.sound_speed,
        channel.absorption,
        conditions.heave,
        conditions.roll,
        conditions.pitch,
        conditions.temperature,
        conditions.heading,
        0,  # transmit mode: active
        b"",
        0,  # offset of the first sample
        power.size,
    )
    return b"".join((head, power.astype("<i2").tobytes(), angle.tobytes()))


def _text(text: str) -> bytes:
    return text.encode("latin-1")

"""A file of every sonar model and every kind of channel, real if there is one.

Other files are made from datagrams of real ones: ES70, ES80 and EA640 have the formats
of EK60 and EK80; an EK80 file has some channels with power and angle; an AD2CP file has
three kinds of ping. AZFP6 is made from a real AZFP's settings.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.walk.ad2cp import checksum
from tests.damaged_files import (
    AD2CP,
    AD2CP_FIRST_PING,
    AD2CP_PING,
    AZFP,
    AZFP_XML,
    EK60,
    EK80,
    EK80_COMPLEX,
    SUFFIX,
    simrad_datagrams,
)
from tests.unit.preflight.azfp6_writer import azfp6_file

POWER_SAMPLES = 1000
_AVERAGE, _BURST, _ECHOSOUNDER = 0x16, 0x15, 0x1C


def mixed_channels(content: bytes) -> bytes:
    """An EK80 file of complex samples with every second channel's as power and angle.

    RAW3 (Simrad EK80 interface description): channel id, 128 bytes; data type,
    int16, bit 0 power, bit 1 angle, bit 3 complex; 2 bytes; offset and number of
    samples, int32; int16 power, and int8 angles athwartship and alongship.
    """
    channels: list[bytes] = []
    pieces: list[bytes] = []
    for datagram in simrad_datagrams(content):
        piece = content[datagram.start : datagram.end]
        if datagram.type == "RAW3":
            channel = piece[16:144]
            if channel not in channels:
                channels.append(channel)
            if channels.index(channel) % 2:
                piece = _power_and_angle(piece, number=len(pieces))
        pieces.append(piece)
    return b"".join(pieces)


def _power_and_angle(ping: bytes, number: int) -> bytes:
    power = (np.arange(POWER_SAMPLES) * 7 - 9000 + number).astype("<i2")
    angles = (np.arange(2 * POWER_SAMPLES) % 251 - 125).astype("i1")
    head = ping[4:144] + struct.pack("<h2sii", 3, b"", 0, POWER_SAMPLES)
    inner = head + power.tobytes() + angles.tobytes()
    length = struct.pack("<i", len(inner))
    return length + inner + length


def three_kinds_of_ping(content: bytes) -> bytes:
    """An AD2CP file whose pings are in turn average, burst and echosounder."""
    made = bytearray(content)
    starts = range(AD2CP_FIRST_PING, len(content), AD2CP_PING)
    for number, at in enumerate(starts):
        made[at + 2] = (_AVERAGE, _BURST, _ECHOSOUNDER)[number % 3]
        struct.pack_into("<H", made, at + 8, checksum(bytes(made[at : at + 8])))
    return bytes(made)


@dataclass(frozen=True)
class ModelFile:
    """An intact file of a model; `make` makes it from a real file's bytes."""

    name: str
    model: str
    source: str
    make: Callable[[bytes], bytes] = bytes
    beam_groups: int = 1

    def write(self, real_data: Path, folder: Path) -> Path:
        """Write the file into `folder`."""
        path = folder / (self.name + SUFFIX[self.model])
        path.write_bytes(self.make((real_data / self.source).read_bytes()))
        return path

    def xml_path(self, real_data: Path) -> str | None:
        """The settings XML for the file."""
        return str(real_data / AZFP_XML) if self.model == "AZFP" else None


MODEL_FILES = [
    ModelFile("ek60", "EK60", EK60),
    ModelFile("es70", "ES70", EK60),
    ModelFile("ek80-power", "EK80", EK80),
    ModelFile("ek80-fm", "EK80", "ek80/2917763601822576513.raw"),
    ModelFile("ek80-complex-cw", "EK80", EK80_COMPLEX),
    ModelFile("ek80-mixed", "EK80", EK80_COMPLEX, mixed_channels, beam_groups=2),
    ModelFile("es80-complex-cw", "ES80", EK80_COMPLEX),
    ModelFile("es80-mixed", "ES80", EK80_COMPLEX, mixed_channels, beam_groups=2),
    ModelFile("ea640-power", "EA640", EK80),
    ModelFile("azfp", "AZFP", AZFP),
    ModelFile("azfp6", "AZFP6", AZFP_XML, azfp6_file),
    ModelFile("ad2cp", "AD2CP", AD2CP),
    ModelFile("ad2cp-three-kinds", "AD2CP", AD2CP, three_kinds_of_ping, beam_groups=3),
]

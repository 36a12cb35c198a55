"""Writes EK60 files: given samples, or a transect over a simulated sea."""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from sandbox.sea.ek60 import (
    TRANSCEIVERS,
    Motion,
    Transceiver,
    configuration,
    datagram,
    samples,
    text,
)
from sandbox.sea.sea import Sea, receive

#: Pings generated at once; limits memory.
_PINGS_PER_BLOCK = 256
DUSK = datetime(2025, 9, 14, 17, 30, tzinfo=UTC)
_INTERVAL = timedelta(seconds=5)
_LATITUDE, _LONGITUDE, _COURSE, _KNOTS = 57.3, 1.9, 72.0, 9.0
_SURVEY = "echodrop sample (synthetic)"


class SampleFile(NamedTuple):
    """The written file; `channels` are in Hz."""

    path: Path
    bytes: int
    pings: int
    channels: tuple[int, ...]


class SamplePing(NamedTuple):
    """One ping on every channel: its time, the ship's motion, the samples.

    `power` and `angle` have one array per channel, as in `ek60.samples`. `nmea` sentences
    are written before them.
    """

    time: datetime
    motion: Motion
    power: Sequence[npt.NDArray[np.int16]]
    angle: Sequence[npt.NDArray[np.int8]]
    nmea: Sequence[str] = ()


def write_sample(
    target: Path,
    *,
    pings: int = 480,
    channels: Sequence[int] = (18_000, 38_000, 120_000, 200_000),
    samples: int = 1000,
    seed: int = 0,
    start: datetime = DUSK,
) -> SampleFile:
    """Write an EK60 file of a transect to `target`; the same arguments give the same bytes.

    `channels` are frequencies in Hz, `start` has a time zone. Samples are 0.19 m apart, so
    1000 reach 190 m; pings are 5 s apart.

    Raises ValueError for no pings, channels or samples, a frequency without a
    transducer, or a start without a time zone; OSError on a disk error.
    """
    if pings < 1 or samples < 1 or not channels:
        raise ValueError("a sample file needs at least one ping, one channel and one sample")
    if start.tzinfo is None:
        raise ValueError(f"the start {start} has no time zone")
    if unknown := set(channels) - set(TRANSCEIVERS):
        raise ValueError(f"no transducer for {min(unknown):,} Hz; available: {[*TRANSCEIVERS]}")
    transceivers, begin = [TRANSCEIVERS[each] for each in channels], start.astimezone(UTC)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as out:
            transect = _transect(transceivers, pings, samples, seed, begin)
            write_ek60(out, transceivers, transect, start=begin, survey=_SURVEY)
            written = out.tell()
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return SampleFile(target, written, pings, tuple(channels))


def write_ek60(
    out: BinaryIO,
    transceivers: Sequence[Transceiver],
    pings: Iterable[SamplePing],
    *,
    start: datetime,
    survey: str,
) -> None:
    """Write an EK60 file to `out`: CON0 at `start`, an annotation, then every ping.

    Raises ValueError if a ping does not have one array per transceiver.
    """
    out.write(datagram(b"CON0", start, configuration(transceivers, survey)))
    out.write(datagram(b"TAG0", start, text(f"start of {survey}")))
    for ping in pings:
        out.writelines(datagram(b"NME0", ping.time, text(sentence)) for sentence in ping.nmea)
        channels = zip(transceivers, ping.power, ping.angle, strict=True)
        for number, (channel, power, angle) in enumerate(channels, start=1):
            body = samples(number, channel, ping.motion, power, angle)
            out.write(datagram(b"RAW0", ping.time, body))


def _transect(
    transceivers: Sequence[Transceiver], pings: int, samples: int, seed: int, start: datetime
) -> Iterator[SamplePing]:
    """Yield the transect's pings, generated in blocks."""
    rng, interval = np.random.default_rng(seed), _INTERVAL.total_seconds()
    begin = start.hour + start.minute / 60 + start.second / 3600 + _LONGITUDE / 15
    sea = Sea(rng, pings, samples, lambda ping: begin + ping * interval / 3600)
    frequencies, course = [channel.frequency for channel in transceivers], math.radians(_COURSE)
    for first in range(0, pings, _PINGS_PER_BLOCK):
        numbers = np.arange(first, min(first + _PINGS_PER_BLOCK, pings), dtype=np.float32)
        echoes = sea.backscatter(numbers, frequencies)
        received = [receive(*each, rng) for each in zip(echoes, transceivers, strict=True)]
        for row in range(numbers.size):
            when = start + (first + row) * _INTERVAL
            seconds = (first + row) * interval
            swell, degrees = seconds * 2 * np.pi / 8.3, seconds / 3600 * _KNOTS / 60
            heading = _COURSE + 2 * np.sin(seconds / 170) + np.sin(seconds / 41)
            latitude = _LATITUDE + degrees * math.cos(course)
            east = degrees * math.sin(course) / math.cos(math.radians(latitude))
            yield SamplePing(
                time=when,
                motion=Motion(
                    heave=0.4 * np.sin(swell),
                    roll=1.8 * np.sin(swell * 0.83),
                    pitch=0.7 * np.cos(swell * 1.21),
                    heading=heading,
                ),
                power=[power[row] for power, _ in received],
                angle=[angle[row] for _, angle in received],
                nmea=sentences(latitude, _LONGITUDE + east, heading, when),
            )


def sentences(latitude: float, longitude: float, course: float, when: datetime) -> tuple[str, str]:
    """Return the GGA and RMC sentences of a position (degrees), each with its checksum."""
    position = f"{_degrees(latitude, 2, 'NS')},{_degrees(longitude, 3, 'EW')}"
    clock = f"{when:%H%M%S}.{when.microsecond // 10_000:02d}"
    moving = f"{_KNOTS:.1f},{course:.1f},{when:%d%m%y},0.4,E,D"
    gga = f"GPGGA,{clock},{position},2,10,0.9,24.1,M,44.2,M,3.0,0120"
    rmc = f"GPRMC,{clock},A,{position},{moving}"
    first, second = (f"${line}*{reduce(xor, line.encode('ascii')):02X}" for line in (gga, rmc))
    return first, second


def _degrees(degrees: float, width: int, hemispheres: str) -> str:
    """Format degrees for NMEA: whole degrees, minutes to 1/10,000, hemisphere."""
    whole, rest = divmod(round(abs(degrees) * 600_000), 600_000)
    return f"{whole:0{width}d}{rest / 10_000:07.4f},{hemispheres[int(degrees < 0)]}"

"""Writes EK60 files: given samples, or a transect over a simulated sea."""

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
from sandbox.sea.reception import ranges, receive
from sandbox.sea.scene import Sea

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
    seconds = np.arange(pings, dtype=np.float64) * interval
    latitude, longitude, course = _sail(rng, seconds)
    hours = start.hour + start.minute / 60 + start.second / 3600 + _LONGITUDE / 15 + seconds / 3600
    sea = Sea(rng, hours, ranges(samples))
    for first in range(0, pings, _PINGS_PER_BLOCK):
        block = slice(first, min(first + _PINGS_PER_BLOCK, pings))
        received = [
            receive(
                sea.backscatter(channel.frequency, block),
                channel,
                np.random.default_rng((seed, number, first)),
            )
            for number, channel in enumerate(transceivers)
        ]
        for ping in range(block.start, block.stop):
            when = start + ping * _INTERVAL
            swell = ping * interval * 2 * np.pi / 8.3
            yield SamplePing(
                time=when,
                motion=Motion(
                    heave=0.4 * np.sin(swell),
                    roll=1.8 * np.sin(swell * 0.83),
                    pitch=0.7 * np.cos(swell * 1.21),
                    heading=float(course[ping]),
                ),
                power=[power[ping - first] for power, _ in received],
                angle=[angle[ping - first] for _, angle in received],
                nmea=sentences(latitude[ping], longitude[ping], course[ping], when),
            )


def _sail(
    rng: np.random.Generator, seconds: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return latitudes, longitudes and courses in degrees, each (pings,), with some yaw."""
    yaw = 2.0 * np.sin(seconds / 170 + rng.uniform(0, 6)) + np.sin(seconds / 41 + rng.uniform(0, 6))
    heading = np.radians(_COURSE + yaw)
    steps = np.diff(seconds, prepend=seconds[0]) * _KNOTS * (1852.0 / 3600.0)
    latitude = _LATITUDE + np.cumsum(steps * np.cos(heading)) / 1852.0 / 60
    east = np.cumsum(steps * np.sin(heading)) / 1852.0 / 60
    return latitude, _LONGITUDE + east / np.cos(np.radians(latitude)), (_COURSE + yaw) % 360


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

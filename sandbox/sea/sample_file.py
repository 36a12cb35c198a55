"""Write EK60 files: given samples, or a transect over a simulated sea."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from sandbox.sea.echo_reception import ranges, receive
from sandbox.sea.ek60_datagrams import (
    Conditions,
    Transceiver,
    configuration_body,
    samples_body,
    text_body,
)
from sandbox.sea.ek60_transducers import transceiver_for
from sandbox.sea.sea_scene import Sea
from sandbox.sea.ship_track import Track, sail, sentences
from sandbox.sea.simrad_frame import frame, nt_time

#: Pings generated at once; limits memory.
_PINGS_PER_BLOCK = 256
DUSK = datetime(2025, 9, 14, 17, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SampleFile:
    """The written file; ``channels`` are in Hz, the times are of the first and last ping."""

    path: Path
    bytes: int
    pings: int
    channels: tuple[int, ...]
    first_time: datetime
    last_time: datetime


@dataclass(frozen=True, slots=True)
class SamplePing:
    """One ping on every channel: its time, conditions and samples.

    ``power`` and ``angle`` have one array per channel, int16 (samples,) and int8
    (samples, 2), as in ``samples_body``. ``nmea`` sentences are written before them.
    """

    time: datetime
    conditions: Conditions
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
    ping_interval: timedelta = timedelta(seconds=5),
    latitude: float = 57.3,
    longitude: float = 1.9,
    seabed_depth: float = 84.0,
) -> SampleFile:
    """Write an EK60 file of a transect to ``target``; the same arguments give the same bytes.

    ``channels`` are frequencies in Hz, ``start`` has a time zone, positions are
    degrees, ``seabed_depth`` is metres below the transducer. Samples are
    0.19 m apart, so 1000 reach 190 m.

    Raises ValueError for no pings, channels or samples, a frequency without a
    transducer, or a start without a time zone; OSError on a disk error.
    """
    if pings < 1 or samples < 1 or not channels:
        raise ValueError("a sample file needs at least one ping, one channel and one sample")
    if start.tzinfo is None:
        raise ValueError(f"the start {start} has no time zone")
    transceivers = [transceiver_for(frequency) for frequency in channels]
    rng = np.random.default_rng(seed)
    seconds = np.arange(pings, dtype=np.float64) * ping_interval.total_seconds()
    track = sail(rng, seconds, latitude=latitude, longitude=longitude)
    begin = start.astimezone(UTC)
    hours = begin.hour + begin.minute / 60 + begin.second / 3600 + longitude / 15 + seconds / 3600
    depth = ranges(transceivers[0], samples, Conditions().sound_speed)
    sea = Sea(rng, hours, depth, seabed_depth=seabed_depth)

    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as out:
            write_ek60(
                out,
                transceivers,
                _transect(sea, track, transceivers, start=begin, interval=ping_interval, seed=seed),
                start=begin,
                survey="echodrop sample (synthetic)",
            )
            written = out.tell()
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return SampleFile(
        path=target,
        bytes=written,
        pings=pings,
        channels=tuple(channels),
        first_time=begin,
        last_time=begin + (pings - 1) * ping_interval,
    )


def write_ek60(
    out: BinaryIO,
    transceivers: Sequence[Transceiver],
    pings: Iterator[SamplePing],
    *,
    start: datetime,
    survey: str,
    transect: str = "1",
) -> None:
    """Write an EK60 file to ``out``: CON0 at ``start``, an annotation, then every ping.

    Raises ValueError if a ping does not have one array per transceiver.
    """
    configuration = configuration_body(transceivers, survey, transect)
    out.write(frame(b"CON0", nt_time(start), configuration))
    out.write(frame(b"TAG0", nt_time(start), text_body(f"start of {survey}")))
    for ping in pings:
        now = nt_time(ping.time)
        out.writelines(frame(b"NME0", now, text_body(sentence)) for sentence in ping.nmea)
        channels = zip(transceivers, ping.power, ping.angle, strict=True)
        for number, (transceiver, power, angle) in enumerate(channels, start=1):
            body = samples_body(number, transceiver, ping.conditions, power, angle)
            out.write(frame(b"RAW0", now, body))


def _transect(
    sea: Sea,
    track: Track,
    transceivers: Sequence[Transceiver],
    *,
    start: datetime,
    interval: timedelta,
    seed: int,
) -> Iterator[SamplePing]:
    """Yield the transect's pings, generated in blocks."""
    pings = track.latitude.size
    for first in range(0, pings, _PINGS_PER_BLOCK):
        block = slice(first, min(first + _PINGS_PER_BLOCK, pings))
        received = [
            receive(
                sea.backscatter(transceiver.frequency, block),
                transceiver,
                Conditions().sound_speed,
                np.random.default_rng((seed, number, first)),
            )
            for number, transceiver in enumerate(transceivers)
        ]
        for ping in range(block.start, block.stop):
            when = start + ping * interval
            swell = ping * interval.total_seconds() * 2 * np.pi / 8.3
            yield SamplePing(
                time=when,
                conditions=Conditions(
                    heave=0.4 * np.sin(swell),
                    roll=1.8 * np.sin(swell * 0.83),
                    pitch=0.7 * np.cos(swell * 1.21),
                    heading=float(track.course[ping]),
                ),
                power=[power[ping - first] for power, _ in received],
                angle=[angle[ping - first] for _, angle in received],
                nmea=sentences(track, ping, when),
            )

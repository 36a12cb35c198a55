"""A survey vessel's track and its NMEA 0183 sentences."""

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import xor

import numpy as np
import numpy.typing as npt

_METRES_PER_MINUTE = 1852.0
_METRES_PER_KNOT_SECOND = 1852.0 / 3600.0


@dataclass(frozen=True, slots=True)
class Track:
    """Positions in degrees (north and east positive) and courses in degrees, float64 (pings,)."""

    latitude: npt.NDArray[np.float64]
    longitude: npt.NDArray[np.float64]
    course: npt.NDArray[np.float64]
    speed_knots: float


def sail(
    rng: np.random.Generator,
    seconds: npt.NDArray[np.float64],
    *,
    latitude: float,
    longitude: float,
    course: float = 72.0,
    speed_knots: float = 9.0,
) -> Track:
    """Return a track from a position for ``seconds`` (float64, (pings,), from 0), with some yaw."""
    yaw = 2.0 * np.sin(seconds / 170 + rng.uniform(0, 6)) + np.sin(seconds / 41 + rng.uniform(0, 6))
    heading = np.radians(course + yaw)
    steps = np.diff(seconds, prepend=seconds[0]) * speed_knots * _METRES_PER_KNOT_SECOND
    north = np.cumsum(steps * np.cos(heading)) / _METRES_PER_MINUTE / 60
    east = np.cumsum(steps * np.sin(heading)) / _METRES_PER_MINUTE / 60
    latitudes = latitude + north
    return Track(
        latitude=latitudes,
        longitude=longitude + east / np.cos(np.radians(latitudes)),
        course=(course + yaw) % 360,
        speed_knots=speed_knots,
    )


def sentences(track: Track, ping: int, when: datetime) -> tuple[str, str]:
    """Return the GGA and RMC sentences of a ping at ``when`` (UTC), each with its checksum."""
    position = (
        f"{_degrees_minutes(track.latitude[ping], 2, 'NS')},"
        f"{_degrees_minutes(track.longitude[ping], 3, 'EW')}"
    )
    clock = f"{when:%H%M%S}.{when.microsecond // 10_000:02d}"
    speed = f"{track.speed_knots:.1f},{track.course[ping]:.1f}"
    return (
        _with_checksum(f"GPGGA,{clock},{position},2,10,0.9,24.1,M,44.2,M,3.0,0120"),
        _with_checksum(f"GPRMC,{clock},A,{position},{speed},{when:%d%m%y},0.4,E,D"),
    )


def _degrees_minutes(degrees: float, width: int, hemispheres: str) -> str:
    """Format degrees for NMEA: whole degrees, minutes to 1/10,000, hemisphere."""
    minutes = round(abs(degrees) * 600_000)
    whole, rest = divmod(minutes, 600_000)
    return f"{whole:0{width}d}{rest / 10_000:07.4f},{hemispheres[int(degrees < 0)]}"


def _with_checksum(sentence: str) -> str:
    return f"${sentence}*{reduce(xor, sentence.encode('ascii')):02X}"

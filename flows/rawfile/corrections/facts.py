"""What a Simrad file holds besides samples, read once from its small datagrams.

Layouts as in echopype's `SimradRawParser` and `SimradMRUParser`: Simrad EK60 reference
manual ("CON0", "RAW0") and EK80 interface description ("XML0", "MRU0", "MRU1", "TAG0"); MRU1 is
Kongsberg's KM Binary (`#KMB`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from flows.rawfile.corrections.correction import Floats, Int64s, Times
from flows.rawfile.corrections.xml_values import (
    Environment,
    PingParameters,
    environment_values,
    ping_parameters,
)
from flows.rawfile.repairs.pings import Cut
from flows.walk.sample_index import SampleIndex
from flows.walk.simrad.fields import is_dated, latin_text, ticks_to_times
from flows.walk.summary import FileSummary

# Offsets in a datagram with its leading length.
_RAW0_DEPTH = struct.Struct("<2f")
_RAW0_MOTION = struct.Struct("<5f")
_RAW0_DEPTH_AT, _RAW0_MOTION_AT = 20, 52
RAW0_FIELDS = ("depth", "frequency", "heave", "roll", "pitch", "temperature", "heading")
_KMB = struct.Struct("<4f")
_KMB_AT = 56
_TICKS = struct.Struct("<Q")
_TICKS_AT, _BODY, _TRAILER = 8, 16, 4
_CON0_NAMES = {
    "recorded_survey_name": slice(128),
    "recorded_transect_name": slice(128, 256),
}
KMB_FIELDS = ("roll", "pitch", "heading", "heave")
PARAMETER_FIELDS = ("start", "stop", "sound_speed", "depth")
# Types whose datagrams are read.
_READ = frozenset({b"XML", b"MRU", b"TAG", b"CON"})
_NOTHING = PingParameters("", np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True, kw_only=True)
class SimradFacts:
    """Values of one Simrad file; pings are the rows of `index`.

    Attributes:
        fd: the raw file, open for reading.
        pulses: its transmit pulses; None if their layout is unknown.
        pings: name of `PARAMETER_FIELDS`, and of EK60 of `RAW0_FIELDS` -> value of each ping.
        environment: number of each ping's Environment, -1 before the first.
        motion: name of `KMB_FIELDS` -> value of each MRU1.
        tags: texts of the TAG0 datagrams.
        names: EK60: `recorded_survey_name` and `recorded_transect_name` -> the text in CON0.
    """

    fd: int
    is_ek60: bool
    index: SampleIndex
    pulses: SampleIndex | None
    pings: Mapping[str, Floats]
    environment: Int64s
    environments: tuple[Environment, ...]
    has_mru0: bool
    motion_times: Times
    motion: Mapping[str, Floats]
    tag_times: Times
    tags: tuple[str, ...]
    names: Mapping[str, str]


def _times(ticks: list[int]) -> Times:
    return ticks_to_times(np.array(ticks, np.int64))


def _raw0_values(fd: int, index: SampleIndex) -> dict[str, Floats]:
    rows = np.empty((len(index), len(RAW0_FIELDS)))
    for row, offset in enumerate(index.offset.tolist()):
        head = os.pread(fd, _RAW0_MOTION_AT + _RAW0_MOTION.size, offset)
        depth = _RAW0_DEPTH.unpack_from(head, _RAW0_DEPTH_AT)
        rows[row] = *depth, *_RAW0_MOTION.unpack_from(head, _RAW0_MOTION_AT)
    values = dict(zip(RAW0_FIELDS, rows.T, strict=True))
    frequency = values["frequency"]
    nothing = np.full(frequency.size, np.nan)
    return {**values, "start": frequency, "stop": frequency, "sound_speed": nothing}


@dataclass
class FactsReader:
    """Reads the facts of a file from its datagrams in file order.

    They are the datagrams as the walk found them, before any repair.
    """

    _parameters: dict[str, PingParameters] = field(default_factory=dict)
    _of_ping: dict[int, PingParameters] = field(default_factory=dict)
    _environments: list[Environment] = field(default_factory=list)
    _environment_of: dict[int, int] = field(default_factory=dict)
    _has_mru0: bool = False
    _motion_ticks: list[int] = field(default_factory=list)
    _motion: list[tuple[float, ...]] = field(default_factory=list)
    _tag_ticks: list[int] = field(default_factory=list)
    _tags: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def passing(self, items: Iterable[bytes | Cut]) -> Iterator[bytes | Cut]:
        """The same items, each of which is read as it passes."""
        for item in items:
            if isinstance(item, Cut):
                self._of_ping[item.offset] = self._parameters.get(item.channel, _NOTHING)
                self._environment_of[item.offset] = len(self._environments) - 1
            elif item[4:7] in _READ:
                self._read(item)
            yield item

    def facts(self, summary: FileSummary, fd: int, pulses: SampleIndex | None) -> SimradFacts:
        """The facts, after all datagrams have passed.

        `fd` is the raw file as the walk read it; `pulses` are its transmit pulses, None if their
        layout is unknown. OSError: the file cannot be read.
        """
        index, is_ek60 = summary.samples, summary.found == "EK60"
        assert index is not None  # noqa: S101 - every Simrad file has one
        motion = np.array(self._motion, np.float64).reshape(-1, len(KMB_FIELDS))
        environments = [self._environment_of.get(at, -1) for at in index.offset.tolist()]
        return SimradFacts(
            fd=fd,
            is_ek60=is_ek60,
            index=index,
            pulses=pulses,
            pings=_raw0_values(fd, index) if is_ek60 else self._parameters_of(index),
            environment=np.array(environments, np.int64),
            environments=tuple(self._environments),
            has_mru0=self._has_mru0,
            motion_times=_times(self._motion_ticks),
            motion=dict(zip(KMB_FIELDS, motion.T, strict=True)),
            tag_times=_times(self._tag_ticks),
            tags=tuple(self._tags),
            names=self._names,
        )

    def _parameters_of(self, index: SampleIndex) -> dict[str, Floats]:
        """The values of each ping's parameters."""
        own = [self._of_ping.get(at, _NOTHING) for at in index.offset.tolist()]
        return {
            name: np.array([getattr(each, name) for each in own], np.float64)
            for name in PARAMETER_FIELDS
        }

    def _read(self, datagram: bytes) -> None:
        type_, ticks = datagram[4:8], _TICKS.unpack_from(datagram, _TICKS_AT)[0]
        if not is_dated(ticks):
            # The walk has named it as not converted.
            return
        body = datagram[_BODY:-_TRAILER]
        if type_ == b"XML0":
            self._read_xml(body, ticks)
        elif type_ == b"MRU0":
            self._has_mru0 = True
        elif type_ == b"MRU1":
            self._motion_ticks.append(ticks)
            self._motion.append(_KMB.unpack_from(datagram, _KMB_AT))
        elif type_ == b"CON0":
            self._names = {name: latin_text(body[at]) for name, at in _CON0_NAMES.items()}
        elif type_ == b"TAG0":
            self._tag_ticks.append(ticks)
            self._tags.append(_text(body))

    def _read_xml(self, body: bytes, ticks: int) -> None:
        parameters = ping_parameters(body)
        if parameters is not None:
            self._parameters[parameters.channel] = parameters
            return
        before = self._environments[-1] if self._environments else None
        environment = environment_values(body, _times([ticks])[0], before)
        if environment is not None:
            self._environments.append(environment)


def _text(body: bytes) -> str:
    """Text of an annotation: UTF-8, or else Latin-1 as older software writes it."""
    body = body.strip(b"\x00").replace(b"\x00", b" ")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")

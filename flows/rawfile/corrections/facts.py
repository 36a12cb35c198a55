"""What a Simrad file holds besides samples, read once from its small datagrams.

Layouts as in echopype's `SimradRawParser` and `SimradMRUParser`: Simrad EK60 reference
manual ("RAW0") and EK80 interface description ("XML0", "MRU0", "MRU1", "TAG0"); MRU1 is
Kongsberg's KM Binary (`#KMB`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flows.rawfile.corrections.correction import Floats, Int64s, Times
from flows.rawfile.corrections.xml_values import (
    Environment,
    PingParameters,
    environment_values,
    ping_parameters,
)
from flows.rawfile.streamed import UnknownLayoutError, pulse_index
from flows.walk.sample_index import SampleIndex
from flows.walk.simrad.ek80 import ADCP
from flows.walk.simrad.framing import Datagram, datagrams
from flows.walk.simrad.nt_time import ticks_to_times
from flows.walk.summary import FileSummary

# Offsets in a datagram with its leading length.
_RAW0_DEPTH = struct.Struct("<f")
_RAW0_MOTION = struct.Struct("<5f")
_RAW0_DEPTH_AT, _RAW0_MOTION_AT = 20, 52
RAW0_FIELDS = ("depth", "heave", "roll", "pitch", "temperature", "heading")
_KMB = struct.Struct("<4f")
_KMB_AT = 56
KMB_FIELDS = ("roll", "pitch", "heading", "heave")
PARAMETER_FIELDS = ("start", "stop", "sound_speed", "depth")
_BODY = 16
_NOTHING = PingParameters("", np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True, kw_only=True)
class SimradFacts:
    """Values of one Simrad file; pings are the rows of `index`.

    Attributes:
        fd: the raw file, open for reading until `close`.
        is_ek60: whether the file has EK60's format.
        index: its pings.
        pulses: its transmit pulses; None if their layout is unknown.
        pings: name of `RAW0_FIELDS` or `PARAMETER_FIELDS` -> value of each ping.
        environment: number of each ping's Environment, -1 before the first.
        environments: the Environments, in file order.
        has_mru0: whether there are MRU0 datagrams.
        motion_times: times of the MRU1 datagrams.
        motion: name of `KMB_FIELDS` -> value of each MRU1.
        tag_times: times of the TAG0 datagrams.
        tags: their texts.
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

    def close(self) -> None:
        """Close the raw file; its transmit pulses can no longer be read."""
        os.close(self.fd)


def read_facts(path: Path, summary: FileSummary) -> SimradFacts | None:
    """The facts of a raw file; None for formats without an index of samples.

    Args:
        path: the raw file as the walk read it, before anything is left out of it.
        summary: summary of the walk; only its whole spans are read.

    Raises:
        OSError: it cannot be read.
    """
    if summary.samples is None:
        return None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read(fd, summary.samples, summary)
    except BaseException:
        os.close(fd)
        raise


def _read(fd: int, index: SampleIndex, summary: FileSummary) -> SimradFacts:
    is_ek60 = summary.found == "EK60"
    found = _Pass(fd)
    if not is_ek60 or summary.datagrams.get("TAG0"):
        for start, end in summary.whole:
            for item in datagrams(fd, end, start):
                if isinstance(item, Datagram):
                    found.take(item)
    motion = np.array(found.motion, np.float64).reshape(-1, len(KMB_FIELDS))
    pings = _raw0_values(fd, index) if is_ek60 else found.parameters_of(index)
    environments = [found.environment_of.get(at, -1) for at in index.offset.tolist()]
    pulses = None
    with suppress(UnknownLayoutError):
        pulses = pulse_index(fd, index)
    return SimradFacts(
        fd=fd,
        is_ek60=is_ek60,
        index=index,
        pulses=pulses,
        pings=pings,
        environment=np.array(environments, np.int64),
        environments=tuple(found.environments),
        has_mru0=found.has_mru0,
        motion_times=_times(found.motion_ticks),
        motion=dict(zip(KMB_FIELDS, motion.T, strict=True)),
        tag_times=_times(found.tag_ticks),
        tags=tuple(found.tags),
    )


def _times(ticks: list[int]) -> Times:
    return ticks_to_times(np.array(ticks, np.int64))


def _raw0_values(fd: int, index: SampleIndex) -> dict[str, Floats]:
    rows = np.empty((len(index), len(RAW0_FIELDS)))
    for row, offset in enumerate(index.offset.tolist()):
        head = os.pread(fd, _RAW0_MOTION_AT + _RAW0_MOTION.size, offset)
        depth = _RAW0_DEPTH.unpack_from(head, _RAW0_DEPTH_AT)
        rows[row] = *depth, *_RAW0_MOTION.unpack_from(head, _RAW0_MOTION_AT)
    return dict(zip(RAW0_FIELDS, rows.T, strict=True))


@dataclass
class _Pass:
    """The datagrams of one pass in file order, and what the next ping depends on."""

    fd: int
    parameters: PingParameters = _NOTHING
    of_ping: dict[int, PingParameters] = field(default_factory=dict)
    environments: list[Environment] = field(default_factory=list)
    environment_of: dict[int, int] = field(default_factory=dict)
    has_mru0: bool = False
    motion_ticks: list[int] = field(default_factory=list)
    motion: list[tuple[float, ...]] = field(default_factory=list)
    tag_ticks: list[int] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def take(self, item: Datagram) -> None:
        """Take one datagram."""
        if item.type == b"RAW3":
            self.of_ping[item.offset] = self.parameters
            self.environment_of[item.offset] = len(self.environments) - 1
        elif item.type == b"XML0":
            self._xml(item)
        elif item.type == b"MRU0":
            self.has_mru0 = True
        elif item.type == b"MRU1":
            self.motion_ticks.append(item.ticks)
            self.motion.append(_KMB.unpack_from(item.head, _KMB_AT))
        elif item.type == b"TAG0":
            self.tag_ticks.append(item.ticks)
            self.tags.append(_text(self._body(item)))

    def parameters_of(self, index: SampleIndex) -> dict[str, Floats]:
        """The values of each ping's parameters."""
        own = [self.of_ping.get(at, _NOTHING) for at in index.offset.tolist()]
        return {
            name: np.array([getattr(each, name) for each in own], np.float64)
            for name in PARAMETER_FIELDS
        }

    def _xml(self, item: Datagram) -> None:
        body = self._body(item)
        parameters = ping_parameters(body) if b"<Parameter" in body else None
        if parameters is not None:
            if ADCP not in parameters.channel:
                self.parameters = parameters
        elif b"<Environment" in body:
            time = _times([item.ticks])[0]
            before = self.environments[-1] if self.environments else None
            environment = environment_values(body, time, before)
            if environment is not None:
                self.environments.append(environment)

    def _body(self, item: Datagram) -> bytes:
        return os.pread(self.fd, item.length - 12, item.offset + _BODY)


def _text(body: bytes) -> str:
    """Text of an annotation: UTF-8, or else Latin-1 as older software writes it."""
    body = body.strip(b"\x00").replace(b"\x00", b" ")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")

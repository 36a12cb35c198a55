"""Rare content of whole EK80 files: each is opened, by the index, with a word about what was done."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows import walk
from flows.rawfile.echopype_reader import open_raw_file
from flows.rawfile.engine import open_file
from flows.rawfile.parsed_pings import compare_pings
from tests.unit.truth.edited_files import Datagram, File, content_of, datagrams_of

POWER = "ek80/-1519668699940320059.raw"
COMPLEX = "ek80/2917763601822576513.raw"
_CALIBRATION = (
    b'><FrequencyPar Frequency="38000.0" Impedance="75,5" Phase="0" BeamWidthAlongship="7" '
    b'BeamWidthAthwartship="7" AngleOffsetAlongship="0" AngleOffsetAthwartship="0"/></Transducer>'
)


def _all(value: float) -> Callable[[Any], bool]:
    return lambda values: bool(
        np.isnan(values).all() if math.isnan(value) else (values == value).all()
    )


def _in(root: bytes, pattern: bytes, by: bytes, every: int = 1) -> Callable[[File], File]:
    """Replace a pattern in every n-th XML of a kind."""

    def edit(file: File) -> File:
        rows = [row for row, d in enumerate(file) if d.is_xml(root)][::every]
        return [
            replace(d, body=re.sub(pattern, by, d.body, flags=re.DOTALL)) if row in rows else d
            for row, d in enumerate(file)
        ]

    return edit


def _pulses(kind: int, numbers: bytes, count: int, every: int = 1) -> Callable[[File], File]:
    """Transmit pulses before every n-th ping."""

    def edit(file: File) -> File:
        made: File = []
        pings = 0
        for d in file:
            if d.type == b"RAW3":
                pings += 1
                if pings % every == 0:
                    head = struct.pack("<h2sii", kind, b"", 0, count)
                    made.append(Datagram(b"RAW4", d.ticks, d.body[:128] + head + numbers))
            made.append(d)
        return made

    return edit


def _power_in_turn(file: File) -> File:
    """Every third ping of a file with complex samples has 100 samples of power."""
    made: File = []
    pings = 0
    for d in file:
        one = d
        if d.type == b"RAW3":
            pings += 1
            if pings % 3 == 0:
                body = d.body[: d.count_at] + struct.pack("<i", 100) + bytes(range(200))
                one = replace(d, body=body).with_kind(1)
        made.append(one)
    return made


def _sectors_in_turn(file: File) -> File:
    """Complex pings of one to four sectors, all with the same samples in each."""
    made: File = []
    for number, d in enumerate(file):
        one = d
        if d.type == b"RAW3":
            sectors = 1 + number // 3 % 4
            own = np.frombuffer(d.body, "<f4", 2 * d.count * (d.kind >> 8), d.header)
            first = own.reshape(d.count, -1, 2)[:, :1]
            body = d.body[: d.header] + np.repeat(first, sectors, axis=1).tobytes()
            one = replace(d, body=body).with_kind(sectors << 8 | 8)
        made.append(one)
    assert len({d.kind for d in made if d.type == b"RAW3"}) == 4
    return made


def _as_first_sector(values: Any) -> bool:
    """By channel, ping, sample and sector: each sector is the first, or missing."""
    first = np.broadcast_to(values[..., :1], values.shape)
    return bool(((values == first) | np.isnan(values)).all() and np.isnan(values[..., 1]).any())


def _with_bom(file: File) -> File:
    return [replace(d, body=b"\xef\xbb\xbf" + d.body) if d.type == b"XML0" else d for d in file]


@dataclass(frozen=True)
class Rare:
    """An edit, words of its repairs, and a variable with what it has."""

    name: str
    edit: Callable[[File], File]
    words: str = ""
    variable: tuple[str, str] = ("Vendor_specific", "pulse_length")
    has: Callable[[Any], bool] = lambda values: not np.isnan(values).any()
    source: str = POWER


BEAM = "Sonar/Beam_group1"
RARE = (
    Rare("no header", _in(b"Configuration", rb"<Header[^>]*/>", b""), "no Version of Header"),
    Rare(
        "numbers of sectors in turn",
        _sectors_in_turn,
        "other kinds of samples than others",
        (BEAM, "backscatter_r"),
        _as_first_sector,
        COMPLEX,
    ),
    Rare("no mountings", _in(b"Configuration", rb"<Transducers.*?</Transducers>", b"")),
    Rare(
        "no transducer of a channel",
        _in(b"Configuration", rb'<Transducer TransducerName="ES38D" SerialNumber[^>]*/>', b""),
        "no Frequency of Transducer",
        ("Sonar", "frequency_nominal"),
        lambda values: np.isnan(values).sum() == 1,
    ),
    Rare(
        "calibration that lacks a gain",
        _in(b"Configuration", rb'DirectivityDropAt2XBeamWidth="0" />', _CALIBRATION),
        "no Gain of FrequencyPar",
        ("Vendor_specific", "impedance_transducer"),
        _all(75.5),
    ),
    Rare(
        "no pulse durations",
        _in(b"Configuration", rb' PulseDuration="[^"]*"', b""),
        "PulseDuration of Channel has 0 of 5 values",
        has=_all(math.nan),
    ),
    Rare("pulse lengths", _in(b"Configuration", b" PulseDuration=", b" PulseLength=")),
    Rare(
        "pulse lengths of some pings",
        _in(b"Parameter", b" PulseDuration=", b" PulseLength=", 3),
        variable=(BEAM, "transmit_duration_nominal"),
    ),
    Rare(
        "no pulse form",
        _in(b"Parameter", rb' PulseForm="[^"]*"', b""),
        "no PulseForm",
        (BEAM, "transmit_type"),
        lambda values: set(values.ravel()) == {"LFM"},
        COMPLEX,
    ),
    Rare(
        "an unknown pulse form of power",
        _in(b"Parameter", rb'PulseForm="0"', b'PulseForm="7"'),
        "pulse form 7",
        (BEAM, "transmit_type"),
        lambda values: set(values.ravel()) == {"PulseForm 7"},
    ),
    Rare(
        "no mode",
        _in(b"Parameter", rb' ChannelMode="[^"]*"', b"", 2),
        "no ChannelMode",
        (BEAM, "channel_mode"),
        lambda values: np.isnan(values).sum() == 6,
    ),
    Rare(
        "no first frequency",
        _in(b"Parameter", rb' FrequencyStart="[^"]*"', b"", 4),
        "no FrequencyStart",
        (BEAM, "transmit_frequency_start"),
        lambda values: np.isnan(values).sum() == 3,
        COMPLEX,
    ),
    Rare(
        "pulses without samples",
        _pulses(1 << 8 | 8, b"", 0),
        variable=(BEAM, "sample_interval"),
    ),
    Rare(
        "pulses of float16",
        _pulses(1 << 8 | 4, struct.pack("<20e", *range(20)), 10),
        variable=(BEAM, "transmit_pulse_r"),
        has=lambda values: bool((values == np.arange(0, 20, 2)).all()),
    ),
    Rare(
        "pulses of every third ping",
        _pulses(1 << 8 | 8, struct.pack("<20f", *range(20)), 10, 3),
        "no transmit pulse",
        (BEAM, "transmit_pulse_r"),
        lambda values: (~np.isnan(values)).sum() == 40,
    ),
    Rare(
        "power and complex in turn",
        _power_in_turn,
        "other kinds of samples",
        ("Sonar/Beam_group2", "backscatter_r"),
        lambda values: (~np.isnan(values)).sum() == 400,
        COMPLEX,
    ),
    Rare("a byte order mark", _with_bom),
    Rare(
        "only the drop keel's environment",
        _in(b"Environment", rb"<Environment.*", b'<Environment DropKeelOffset="1"/>'),
        "Environment",
        ("Environment", "sound_speed_indicative"),
        _all(math.nan),
    ),
    Rare(
        "a name that is not ASCII in the environment",
        _in(b"Environment", b'"Unknown"', '"Sjøbrønn"'.encode()),
        variable=("Environment", "transducer_name"),
        has=lambda values: values.tolist() == ["Sjøbrønn"],
    ),
)


@pytest.mark.parametrize("rare", RARE, ids=lambda rare: rare.name)
def test_rare_content_is_read(rare: Rare, real_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "rare.raw"
    file = datagrams_of((real_data / rare.source).read_bytes())
    edited = rare.edit(file)
    assert edited != file
    path.write_bytes(content_of(edited))
    summary = walk.preflight(path, "EK80")
    walk.decide(summary, "EK80")

    def parse(path: Path) -> tuple[Any, list[str]]:
        return open_raw_file(path, "EK80", None, {}, "rare.raw")

    opened = open_file(path, summary, parse)
    try:
        compare_pings(opened.echodata, summary)
        assert opened.engine.name == "streamed"
        assert bool(opened.repairs) == bool(rare.words)
        assert rare.words in "; ".join(map(str, opened.repairs))
        group, name = rare.variable
        assert rare.has(np.asarray(opened.echodata[group][name].variable.data))
    finally:
        opened.close()

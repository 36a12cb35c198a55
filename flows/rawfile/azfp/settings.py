"""Reads an AZFP's settings XML, in any spelling.

The result is that of echopype 0.11.1's `ParseAZFP.load_AZFP_xml`. That one reads only XML
as the instrument writes it: it fails on indented and empty elements, and takes prefixed
names for other names.
"""

from __future__ import annotations

import contextlib
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.core.outcomes import BadSidecar
from flows.stores.download import FetchedFile
from flows.walk.asl.azfp import HEADER_SIZE, read_header

# Without these settings, echopype fails, or its output cannot be calibrated.
NECESSARY = frozenset(
    {"num_freq", "BP", "DS", "EL", "TVR", "VTX0", "phase_number", "frequency_number_phase1"}
)
# Without these, echopype fails; the output gets NaN in their place.
_SINGLE = ("ka", "kb", "kc", "A", "B", "C", "a0", "a1", *(f"{x}_{c}" for x in "XY" for c in "abcd"))
_OF_CHANNELS = ("VTX1", "VTX2", "VTX3")
_OF_PHASES = ("burst_interval", "pings_per_burst", "average_burst_pings")
_OF_CHANNELS_IN_PHASES = (
    "dig_rate",
    "gain",
    "lock_out_index",
    "pulse_len",
    "range_averaging_samples",
    "range_samples",
    "storage_format",
)
# Numbers of the instrument that are in the output, besides the above.
_FACTS = (
    *("board_version", "configuration_version", "cpu", "date", "file_version", "major", "minor"),
    *("parameter_version", "program", "sensors_flag", "serial_number"),
)
# echopype writes CamelCase as camel_case.
_before_capital = re.compile("(?<!^)(?=[A-Z])")
# Elements inside of the first are repeated for each channel.
_CHANNEL, _PHASE = "Frequency", "Phase"
# echopype expects a list, even of one value.
_LISTS = frozenset({"phase_number", "instrument_type"})


@dataclass
class AzfpSettings:
    """The settings of a file.

    Attributes:
        parameters: by echopype's names, each a value, or a list if it occurs several times.
        by_channel: names of those with a value for each channel, which are always lists.
        lacking: names of those that are NaN, because the XML does not have them.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    by_channel: set[str] = field(default_factory=set)
    lacking: list[str] = field(default_factory=list)

    def channels(self, boards: Sequence[float], frequencies: Sequence[float]) -> list[int]:
        """The places of a data file's channels, by board and frequency in kHz, among those of the settings.

        Raises:
            ValueError: the settings lack a channel.
        """
        number = int(self.parameters["num_freq"])
        if len(boards) == number:
            return list(range(number))
        known = [float(each) for each in self.parameters.get("kHz", [])]
        places = []
        for board, frequency in zip(boards, frequencies, strict=True):
            fitting = [place for place, each in enumerate(known) if each == frequency]
            if len(fitting) > 1 and int(board) in fitting:
                fitting = [int(board)]
            if len(fitting) != 1:
                raise ValueError(f"it has {len(fitting)} channels of {frequency:g} kHz")
            places += fitting
        return places


def read_settings(path: Path) -> AzfpSettings:
    """The settings of an XML file.

    Raises:
        ValueError: it has no settings, or a value that echopype uses is not a number;
        `ElementTree.ParseError`: it is not XML.
        OSError: it cannot be read.
    """
    settings = settings_in(path.read_bytes(), None)
    if not NECESSARY & settings.parameters.keys():
        raise ValueError("it has none")
    for name, values in settings.parameters.items():
        each = values if isinstance(values, list) else [values]
        texts = [value for value in each if isinstance(value, str)]
        if texts and _is_number(name):
            raise ValueError(f"{name} is {texts[0][:40]!r}, not a number")
    _fill(settings)
    return settings


def settings_in(content: bytes, encoding: str | None) -> AzfpSettings:
    """The settings in an XML, without NaN for those that it lacks; texts stay texts.

    `encoding` is that of the content, whatever it declares; None to use that.

    Raises:
        ElementTree.ParseError: it is not XML.
    """
    settings = AzfpSettings()
    # Only the declaration must be at the very beginning, and some editors put lines before it.
    parser = ET.XMLParser(encoding=encoding)  # noqa: S314 - expat limits the expansion of entities
    _read(ET.fromstring(content.lstrip(), parser), settings)  # noqa: S314 - see above
    for name, values in settings.parameters.items():
        if len(values) == 1 and name not in settings.by_channel | _LISTS:
            settings.parameters[name] = values[0]
    return settings


def _fill(settings: AzfpSettings) -> None:
    phases = settings.parameters.get("phase_number", [])
    channels = settings.parameters.get("num_freq", 0)

    def fill(name: str, value: object) -> None:
        if name not in settings.parameters:
            settings.parameters[name] = value
            settings.lacking.append(name)

    for name in _SINGLE:
        fill(name, math.nan)
    fill("instrument_type", [math.nan])
    for name in _OF_PHASES:
        for phase in phases:
            fill(f"{name}_phase{phase}", math.nan)
    in_phases = [f"{name}_phase{phase}" for name in _OF_CHANNELS_IN_PHASES for phase in phases]
    for name in (*_OF_CHANNELS, *in_phases):
        settings.by_channel.add(name)
        fill(name, [math.nan] * int(channels))


def _read(
    element: ET.Element,
    settings: AzfpSettings,
    *,
    phase: str | None = None,
    in_channel: bool = False,
) -> None:
    tag = _local(element.tag)
    in_channel = in_channel or tag == _CHANNEL
    # As in echopype: the names of elements in a phase end in its number.
    name = tag if len(tag) <= 3 or tag.startswith("VTX") else _snake_case(tag)
    suffix = f"_phase{phase}" if phase is not None and tag != _PHASE else ""

    def add(key: str, value: object) -> None:
        settings.parameters.setdefault(key, []).append(value)
        if in_channel:
            settings.by_channel.add(key)

    attributes = {_local(key): value for key, value in element.attrib.items()}
    for key, value in attributes.items():
        add(f"{name}_{_snake_case(key)}{suffix}", value)
    if tag == _PHASE and attributes:
        phase = attributes.get("Number", next(iter(attributes.values()))).strip()
    text = (element.text or "").strip()
    if text:
        add(name + suffix, _value(text))
    for child in element:
        _read(child, settings, phase=phase, in_channel=in_channel)


def _snake_case(name: str) -> str:
    return _before_capital.sub("_", name).lower()


def _local(name: str) -> str:
    """The name without its namespace."""
    return name.rpartition("}")[2]


def _value(text: str) -> float | str:
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def _is_number(name: str) -> bool:
    numbers = {"num_freq", "instrument_type", *_SINGLE, *_FACTS, *_OF_PHASES}
    texts = {"phase_number", "frequency_number_phase1"}
    base = name.partition("_phase")[0]
    return name in numbers or base in numbers or (is_used(name) and name not in texts)


def is_used(name: str) -> bool:
    """Whether echopype takes a value for each channel from the setting of this name."""
    used = NECESSARY.union(_OF_CHANNELS, _OF_CHANNELS_IN_PHASES)
    return name in used or name.partition("_phase")[0] in used


def check_settings(sidecar: FetchedFile, data: Path, source_uri: str) -> None:
    """Check that a settings XML can serve a data file, before the file is parsed.

    `data` is the local copy of the data file, which begins with a whole ping; `source_uri` its URI.

    Raises:
        BadSidecar: it is broken, has no AZFP settings, or not those of the data's channels.
    """
    uri = sidecar.location.uri
    try:
        settings = read_settings(sidecar.path)
    except (ValueError, ET.ParseError) as error:
        cause = f"echodrop cannot read AZFP settings from it: {type(error).__name__}: {error}"
        raise BadSidecar(source_uri, uri, cause) from error
    if lacking := sorted(NECESSARY - settings.parameters.keys()):
        raise BadSidecar(source_uri, uri, f"it has no {', '.join(lacking)}")
    number = settings.parameters["num_freq"]
    for name in sorted(name for name in settings.by_channel if is_used(name)):
        values = settings.parameters[name]
        if len(values) < number:
            raise BadSidecar(source_uri, uri, f"it has {len(values)} {name} for {number} channels")
    with data.open("rb") as raw:
        ping = read_header(raw.read(HEADER_SIZE))
    if isinstance(ping, str):
        return
    try:
        settings.channels(ping.settings["board number"], ping.settings["frequency"])
    except ValueError as error:
        raise BadSidecar(source_uri, uri, str(error)) from error

"""The sonar models that echodrop converts: one row each, with all that differs between them.

Imports only the standard library, because the trigger, the flows and the operations use it.
To add a model: its row here, its walk (`flows/walk/walk.py`), and docs/data-formats.md.

How each format starts:
- Simrad (EK80 interface specification, ER60 reference manual): an int32 length, a
  datagram type of four letters, eight bytes of NT time, the body. CON0 opens
  with three texts of 128 bytes, survey, transect and sounder name; XML0 with
  an XML configuration whose header names the application.
- AZFP (ASL operator's manual): every ping starts with FD 02, the profile's number and the
  instrument's serial number, uint16, big-endian.
- AZFP6 (echopype's reader): the little-endian file type F044CC11.
- AD2CP (Nortek integrator's guide): records start with A5, their header's
  size (10, or 12 for long records) and a data series id.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

# The first bytes that are enough for `model_in_bytes`.
HEAD_BYTES = 1024
# The first bytes of a settings XML that are enough for `serial_in_settings`.
SETTINGS_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A file format, which has the name of the first model that wrote it.

    Attributes:
        starts: what a file may begin with.
        offset: where that is in the file.
    """

    name: str
    starts: tuple[bytes, ...]
    offset: int = 0

    def begins(self, head: bytes) -> bool:
        """Whether a file with these first bytes has this format."""
        return head[self.offset :].startswith(self.starts)

    def may_begin(self, head: bytes) -> bool:
        """Whether these bytes, which may be too few to decide, could begin such a file."""
        found = head[self.offset :]
        return any(start.startswith(found[: len(start)]) for start in self.starts)


EK60 = FileFormat("EK60", (b"CON0",), offset=4)
EK80 = FileFormat("EK80", (b"XML0",), offset=4)
AZFP = FileFormat("AZFP", (b"\xfd\x02",))
AZFP6 = FileFormat("AZFP6", (0xF044CC11.to_bytes(4, "little"),))
AD2CP = FileFormat("AD2CP", (b"\xa5\x0a", b"\xa5\x0c"))
FORMATS = (EK60, EK80, AZFP, AZFP6, AD2CP)


@dataclass(frozen=True, slots=True)
class SonarModel:
    """A sonar model, under echopype's name.

    Attributes:
        extension: end of its files' names, a regular expression for any case.
        keeps_extension: whether the extension stays in the output's name, because it is
            numbered: 15100520.01A and 15100520.01B are two files with one stem.
        in_head: finds the model's name in a file's first bytes; None if nothing there
            distinguishes it from the first model of its format.
        needs_xml: whether its files are converted with a settings XML.
        serial: finds the instrument's serial number in a file's first bytes, if its
            settings XML has that number, too.
        takes_bot_and_idx: whether its sounder writes `.bot` and `.idx` files.
        memory: bytes of memory for each byte of the raw file, as measured
            (docs/sizes-and-costs.md). Simrad's is for metadata: samples are streamed.
    """

    name: str
    format: FileFormat
    extension: str
    memory: float
    in_head: re.Pattern[bytes] | None = None
    keeps_extension: bool = False
    needs_xml: bool = False
    serial: struct.Struct | None = None
    takes_bot_and_idx: bool = False


def _application(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb'ApplicationName="' + name, re.IGNORECASE)


_RAW = r"\.raw"
# The sounder's name is the third text of CON0, after 16 bytes of the datagram's header.
_ES70 = re.compile(rb"\A[\s\S]{272}ES70", re.IGNORECASE)

SONAR_MODELS = {
    model.name: model
    for model in (
        SonarModel("EK60", EK60, _RAW, 1.4, takes_bot_and_idx=True),
        SonarModel("ES70", EK60, _RAW, 1.4, _ES70, takes_bot_and_idx=True),
        SonarModel("EK80", EK80, _RAW, 1.4, takes_bot_and_idx=True),
        SonarModel("ES80", EK80, _RAW, 1.4, _application(b"ES80"), takes_bot_and_idx=True),
        SonarModel("EA640", EK80, _RAW, 1.4, _application(b"EA640"), takes_bot_and_idx=True),
        SonarModel(
            "AZFP",
            AZFP,
            r"\.\d\d[a-z]",
            5.0,
            keeps_extension=True,
            needs_xml=True,
            serial=struct.Struct(">4xH"),
        ),
        SonarModel("AZFP6", AZFP6, r"\.azfp", 30.0),
        SonarModel("AD2CP", AD2CP, r"\.ad2cp", 3.0),
    )
}
TAKE_BOT_AND_IDX = tuple(m.name for m in SONAR_MODELS.values() if m.takes_bot_and_idx)


def format_in_bytes(head: bytes) -> FileFormat | None:
    """The format of a file with these first bytes, None if it is unknown."""
    return next((each for each in FORMATS if each.begins(head)), None)


def model_in_bytes(head: bytes) -> SonarModel | None:
    """The model that wrote a file with these first bytes, None if it is unknown."""
    found = format_in_bytes(head)
    if found is None:
        return None
    for model in SONAR_MODELS.values():
        if model.format is found and model.in_head and model.in_head.search(head):
            return model
    return SONAR_MODELS[found.name]


def serial_in_bytes(head: bytes) -> int | None:
    """The instrument's serial number in a file's first bytes, None if the model has none there."""
    model = model_in_bytes(head)
    if model is None or model.serial is None or len(head) < model.serial.size:
        return None
    return int(model.serial.unpack_from(head)[0])


_COMMENT = re.compile(rb"<!--.*?(?:-->|$)", re.DOTALL)
_SERIAL = re.compile(rb"<(?:[\w.-]+:)?SerialNumber(?:\s[^<>]*)?>\s*(\d+)\s*<")


def serial_in_settings(head: bytes) -> int | None:
    """The instrument's serial number in a settings XML's first bytes, None if it is not there."""
    # Without the zeros, UTF-16 reads as ASCII.
    found = _SERIAL.search(_COMMENT.sub(b"", head.replace(b"\0", b"")))
    return int(found[1]) if found else None


def fitting_settings(serial: int | None, settings: Mapping[str, int | None]) -> list[str]:
    """The settings XMLs of an instrument: none, one or several.

    `serial` is the number in the data, None if unknown; `settings` has those of the XMLs by name.
    """
    return [name for name, number in settings.items() if serial is not None and number == serial]


def models_of(found: FileFormat) -> tuple[str, ...]:
    """The models that write a format. The bytes cannot always distinguish them."""
    return tuple(model.name for model in SONAR_MODELS.values() if model.format is found)


def models_by_extension(file_name: str) -> frozenset[str]:
    """The models that write files with this name's extension; empty if it is unknown."""
    return frozenset(
        model.name
        for model in SONAR_MODELS.values()
        if re.search(model.extension + "$", file_name, re.IGNORECASE)
    )


def without_extension(file_name: str) -> str:
    """The output's name without its own extension, for a raw file's name or key."""
    for model in SONAR_MODELS.values():
        found = re.search(rf"(?<=[^/]){model.extension}$", file_name, re.IGNORECASE)
        if found and not model.keeps_extension:
            return file_name[: found.start()]
    return file_name

"""The XML environment of an EK80 file, as echopype's `SetGroupsEK80.set_env` reads it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from flows.rawfile.repairs.numbers_as_text import (
    MISSING,
    as_float,
    with_floats,
    with_integers,
    with_required,
)

_VALUES = dict.fromkeys(("Depth", "Acidity", "Salinity", "SoundSpeed", "Temperature"), MISSING)
_FLOATS = (*_VALUES, "Latitude", "DropKeelOffset", "WaterLevelDraft")
_INTEGERS = ("DropKeelOffsetIsManual", "WaterLevelDraftIsManual")
_PROFILE = "SoundVelocityProfile"

NO_ENVIRONMENT = "the file has no Environment: its values are NaN"


def without_values() -> ET.Element:
    """An environment whose values are all missing."""
    return ET.Element("Environment", _VALUES)


def with_numbers(root: ET.Element) -> list[str]:
    """Repair the numbers that an environment has, in place; a sentence for each repair."""
    return with_floats(root, _FLOATS) + with_integers(root, _INTEGERS)


def repair_environment(root: ET.Element) -> list[str]:
    """Repair an environment in place; a sentence for each repair."""
    notes = with_numbers(root)
    for transducer in root.iter("Transducer"):
        notes += with_floats(transducer, ("SoundSpeed",))
    if (profile := root.get(_PROFILE)) is not None:
        notes += _repair_profile(root, profile)
    return notes + with_required(root, _VALUES)


def _repair_profile(root: ET.Element, profile: str) -> list[str]:
    """Leave a sound velocity profile out unless it is pairs of numbers."""
    texts = profile.split(";")
    while texts and not texts[-1].strip():
        texts.pop()
    numbers = [as_float(text) for text in texts]
    if not texts:
        del root.attrib[_PROFILE]
        return ["the SoundVelocityProfile of the Environment is empty: left out"]
    if len(numbers) % 2 or None in numbers:
        del root.attrib[_PROFILE]
        return ["the SoundVelocityProfile of the Environment is not pairs of numbers: left out"]
    readable = ";".join(number for number in numbers if number is not None)
    if readable == profile:
        return []
    root.set(_PROFILE, readable)
    return ["the SoundVelocityProfile of the Environment is written in an unusual way"]

"""Numbers in the attributes of XML datagrams: missing, empty, with a decimal comma, or as floats."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable

MISSING = "NaN"


def as_float(text: str | None) -> str | None:
    """The text of a number that `float` reads, None if it has none."""
    if text is None:
        return None
    for candidate in (text, text.replace(",", ".")):
        try:
            float(candidate)
        except ValueError:
            continue
        return candidate
    return None


def as_integer(text: str | None) -> str | None:
    """The text of a whole number that `int` reads, None if it is not a whole number."""
    number = as_float(text)
    if number is None or not float(number).is_integer():
        return None
    try:
        return str(int(number))
    except ValueError:
        return str(int(float(number)))


def with_floats(element: ET.Element, names: Iterable[str]) -> list[str]:
    """Make the attributes of these names readable as floats, in place; a note for each repair.

    An attribute that the element does not have is not added.
    """
    notes = []
    for name in names:
        text = element.get(name)
        if text is None:
            continue
        number = as_float(text)
        if number == text:
            continue
        element.set(name, MISSING if number is None else number)
        notes.append(
            f"{name} of {element.tag} is not a number: NaN"
            if number is None
            else f"{name} of {element.tag} has a decimal comma, which is read as a point"
        )
    return notes


def with_integers(element: ET.Element, names: Iterable[str]) -> list[str]:
    """Make the attributes of these names readable as integers, or remove them, in place."""
    notes = []
    for name in names:
        text = element.get(name)
        if text is None:
            continue
        number = as_integer(text)
        if number == text.strip():
            continue
        if number is None:
            del element.attrib[name]
            notes.append(f"{name} of {element.tag} is not a whole number: left out")
        else:
            element.set(name, number)
            notes.append(f"{name} of {element.tag} is written as a float")
    return notes


def with_required(element: ET.Element, values: dict[str, str]) -> list[str]:
    """Add the attributes of these names that the element lacks, with these values, in place."""
    notes = []
    for name, value in values.items():
        if name not in element.attrib:
            element.set(name, value)
            notes.append(f"the file has no {name} of {element.tag}: {value or 'empty'}")
    return notes

"""Numbers in the attributes of XML datagrams: missing, empty, with a decimal comma, or as floats."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

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


class Rule(NamedTuple):
    """How echopype reads the attributes of an element.

    Attributes:
        required: name -> value, of those that it reads without a default.
        floats: names of those that it reads as floats.
        integers: names of those that it reads as integers.
    """

    required: Mapping[str, str] = MappingProxyType({})
    floats: Sequence[str] = ()
    integers: Sequence[str] = ()


def repair_attributes(element: ET.Element, rule: Rule) -> list[str]:
    """Make attributes readable, in place; a note for each repair.

    What is required is added. A float that is not a number becomes NaN, and an integer that is not a
    whole number is removed.
    """
    notes = []
    for name, value in rule.required.items():
        if name not in element.attrib:
            element.set(name, value)
            notes.append(f"the file has no {name} of {element.tag}: {value or 'empty'}")
    for names, read, why in (
        (rule.floats, as_float, "has a decimal comma, which is read as a point"),
        (rule.integers, as_integer, "is written as a float"),
    ):
        for name in names:
            text = element.get(name)
            number = read(text)
            if text is None or number in {text, text.strip()}:
                continue
            what = why
            if number is None and read is as_float:
                number, what = MISSING, "is not a number: NaN"
            if number is None:
                del element.attrib[name]
                what = "is not a whole number: left out"
            else:
                element.set(name, number)
            notes.append(f"{name} of {element.tag} {what}")
    return notes

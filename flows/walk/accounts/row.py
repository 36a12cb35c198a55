"""One row of an account."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A field of a datagram (record), or several that go the same way.

    Attributes:
        type: type of the datagram, and its kind if it has kinds.
        fields: names of the fields, by the format's documents.
        place: `Group: variable, variable` in the output, also attributes of a group;
            `Beam` is each Sonar/Beam_groupN. None if it is not converted.
        why: why it is not converted; None if it is.
        named: whether a file with such datagrams has them in `missing` and `not_converted`.
    """

    type: str
    fields: str
    place: str | None
    why: str | None = None
    named: bool = False


def lost(type_: str, fields: str, why: str) -> Row:
    """A row of data that the output lacks, and that the manifest names."""
    return Row(type_, fields, None, why, named=True)


def unused(type_: str, fields: str, why: str) -> Row:
    """A row of a field without information for a reader of the output."""
    return Row(type_, fields, None, why)

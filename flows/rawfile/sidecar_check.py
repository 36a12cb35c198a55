"""Checks whether the `.bot` and `.idx` of a raw file are intact, before they are parsed.

They are Simrad files: a configuration, then a BOT0 or IDX0 for each ping. echopype
reads them with the parser of the raw file, so damage in one would appear as an error of
the raw file, or as missing depths.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from flows.core.outcomes import BadSidecar
from flows.stores.sidecars import FetchedSidecar, left_out_sentence
from flows.walk.simrad.framing import Datagram, Gap, datagrams
from flows.walk.simrad.walk import ELEMENTS, SHORTEST
from flows.walk.summary import FileSummary

_TYPES = {"bot": b"BOT0", "idx": b"IDX0"}
_CONFIGURATIONS = {b"CON0", b"XML0"}


def checked_sidecars(
    sidecars: Sequence[FetchedSidecar], summary: FileSummary, *, allow_partial: bool
) -> tuple[list[FetchedSidecar], list[str]]:
    """The sidecars to parse, and a sentence for each that is left out or incomplete.

    A sidecar that was cut between two datagrams is a shorter intact one, as with a raw
    file. Its content is converted, and a sentence reports what is missing.

    Args:
        sidecars: the fetched sidecars.
        summary: summary of the raw file.
        allow_partial: leave a damaged one out.

    Raises:
        BadSidecar: a sidecar is damaged, and may not be left out.
    """
    used: list[FetchedSidecar] = []
    lacking: list[str] = []
    # A sounder writes one for each ping, either for all channels together or for each.
    pings = max(summary.pings.values(), default=0)
    for sidecar in sidecars:
        type_ = _TYPES.get(sidecar.kind)
        if type_ is None:
            used.append(sidecar)
            continue
        uri = sidecar.file.location.uri
        try:
            held = _held(sidecar.file.path, type_)
        except _DamagedError as damaged:
            if not allow_partial:
                raise BadSidecar(summary.file, uri, str(damaged)) from None
            lacking.append(left_out_sentence(uri, str(damaged)))
            continue
        used.append(sidecar)
        if held < pings:
            lacking.append(f"sidecar {uri} has {held} {type_.decode()} for {pings} pings")
    return used, lacking


class _DamagedError(ValueError):
    pass


def _held(path: Path, type_: bytes) -> int:
    """How many datagrams of its type a sidecar has."""
    with path.open("rb", buffering=0) as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        if size == 0:
            raise _DamagedError("it is empty (0 bytes)")
        held = [
            _elements(item)
            for item in map(_whole, datagrams(fd, size))
            if item.offset > 0 and item.type == type_
        ]
    if len(set(held)) > 1:
        raise _DamagedError(f"its {type_.decode()} have {min(held)} to {max(held)} channels")
    return len(held)


def _whole(item: Datagram | Gap) -> Datagram:
    if isinstance(item, Gap):
        raise _DamagedError(
            f"it ends inside a datagram that begins at byte {item.start}"
            if item.cut
            else f"no whole datagram at bytes {item.start} to {item.end}"
        )
    if item.offset == 0 and item.type not in _CONFIGURATIONS:
        raise _DamagedError(f"it begins with {item.name}, not with a configuration")
    if item.type.startswith(b"RAW"):
        raise _DamagedError(f"it has pings: {item.name} at byte {item.offset}")
    return item


def _elements(item: Datagram) -> int:
    """Number of channels of a datagram, 1 if it does not have one."""
    shortest, number = SHORTEST[item.type], 1
    if item.type in ELEMENTS and item.length >= shortest:
        size, at, layout = ELEMENTS[item.type]
        number = struct.unpack_from(layout, item.head, at)[0]
        shortest += size * max(number, 0)
    if item.length < shortest:
        raise _DamagedError(f"the {item.name} at byte {item.offset} is shorter than its content")
    return number

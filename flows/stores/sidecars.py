"""Finds and fetches the sidecars of a raw file: settings XML, bottom, index.

`.bot` and `.idx` files are in the folder of an EK60 or EK80 file and have its stem, in
upper or lower case. echopype looks for them only in lower case and in the raw file's
folder, so they are stored there under that name.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from flows.core.locations import Location
from flows.core.outcomes import AccessDenied, BadSidecar, MissingSidecar
from flows.core.source_version import SourceVersion
from flows.stores.download import FetchedFile, TooLargeError, fetch
from flows.stores.errors import named_ends
from flows.stores.sources import source_of
from sonar_models import SONAR_MODELS

Kind = Literal["xml", "bot", "idx"]
KINDS: tuple[Kind, ...] = ("xml", "bot", "idx")

# Bytes, far more than a sounder writes for the largest raw file: a `.bot` has some fifty per ping.
# A larger file is not a sidecar, and would fill the disk, whose size fits the raw file.
AT_MOST: Mapping[Kind, int] = {"bot": 256_000_000, "idx": 256_000_000, "xml": 16_000_000}
# Kinds that are looked for next to the raw file.
TAKEN_FROM_BESIDE: tuple[Kind, ...] = ("bot", "idx")
# What may be wrong with a sidecar.
DAMAGED, NOT_OF_THIS_FILE = "is damaged", "is not of this file"


@dataclass(frozen=True)
class Sidecar:
    """A sidecar to fetch, and its version if there was a notification.

    `named`: the caller named or requires it; else it was found beside the file, and the
    file is converted without it if it is not right.
    """

    kind: Kind
    location: Location
    wanted: SourceVersion | None
    named: bool = True


@dataclass(frozen=True)
class FetchedSidecar:
    """A sidecar in the folder of the local raw file; `named` as in `Sidecar`."""

    kind: Kind
    file: FetchedFile
    named: bool = True


def find_sidecars(
    raw: Location, sonar_model: str, options: dict[str, Any]
) -> tuple[list[Sidecar], list[str]]:
    """The `.bot` and `.idx` next to the raw file, lower case first, and notes on failed searches.

    A caller who may read objects but not list them must name sidecars explicitly.

    Raises:
        TransientFault: the store did not answer.
    """
    if not SONAR_MODELS[sonar_model].takes_bot_and_idx:
        return [], []
    stem = PurePosixPath(raw.name).stem
    endings = {kind: (f".{kind}", f".{kind.upper()}") for kind in TAKEN_FROM_BESIDE}
    try:
        with named_ends(raw.sibling(f"{stem}.*").uri):
            present = source_of(raw, options).beside(stem, [*itertools.chain(*endings.values())])
    except AccessDenied as denied:
        return [], [f"did not look for .bot and .idx next to the file: {denied}"]
    found = []
    for kind, pair in endings.items():
        if ending := next((each for each in pair if each in present), None):
            found.append(Sidecar(kind, raw.sibling(stem + ending), None, named=False))
    return found, []


def left_out_sentence(uri: str, cause: str, fault: str = DAMAGED) -> str:
    """Return the sentence in `missing` for a sidecar that is not used."""
    return f"sidecar {uri} is left out because it {fault}: {cause}"


def fetch_sidecar(
    sidecar: Sidecar, raw: Location, raw_target: Path, options: dict[str, Any]
) -> FetchedSidecar:
    """Download a sidecar to the raw file's local folder, under the name that echopype looks for.

    Raises:
        MissingSidecar, BadSidecar (too large), Superseded (another version than the notified one).
    """
    if sidecar.kind == "xml":
        target = raw_target.with_name("settings.xml")
    else:
        target = raw_target.with_suffix(f".{sidecar.kind}")
    try:
        fetched = fetch(
            sidecar.location,
            target,
            options,
            wanted=sidecar.wanted,
            at_most=AT_MOST[sidecar.kind],
        )
    except FileNotFoundError as error:
        raise MissingSidecar(raw.uri, sidecar.location.uri) from error
    except TooLargeError as error:
        raise BadSidecar(raw.uri, sidecar.location.uri, f"it has {error}") from error
    return FetchedSidecar(sidecar.kind, fetched, sidecar.named)

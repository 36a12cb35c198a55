"""The order in which the objects of a Zarr store are put and deleted, determined by their keys.

A store can be opened as soon as its root metadata exists, and a group as soon as the
group's does. So chunks are put first, then the metadata of their array, then groups, then
the root; they are deleted in reverse order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_METADATA_NAMES = frozenset({"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"})

# Zarr format -> the root metadata through which readers open a store.
CONSOLIDATED_ROOT = {3: "zarr.json", 2: ".zmetadata"}

# Zarr 3, and Zarr 2 with and without consolidated metadata.
ROOT_KEYS = ("zarr.json", ".zmetadata", ".zgroup", ".zattrs")


@dataclass(frozen=True)
class Layers:
    """The objects of a store in the order in which they are put."""

    arrays: dict[str, bytes]
    groups: dict[str, bytes]
    root: dict[str, bytes]


def is_metadata(key: str) -> bool:
    """Whether a key is metadata; all others are chunks."""
    return key.rpartition("/")[2] in _METADATA_NAMES


def layers_of(objects: Mapping[str, bytes]) -> Layers:
    """Split a store: chunks with array metadata, group metadata, root metadata."""
    layers = Layers({}, {}, {})
    array_folders = {
        key.removesuffix(".zarray") for key in objects if key.rpartition("/")[2] == ".zarray"
    }
    for key, body in objects.items():
        folder, _, name = key.rpartition("/")
        if key in ROOT_KEYS:
            layers.root[key] = body
        elif (
            name in {".zgroup", ".zmetadata"}
            or (name == ".zattrs" and f"{folder}/" not in array_folders)
            or (name == "zarr.json" and json.loads(body)["node_type"] == "group")
        ):
            layers.groups[key] = body
        else:
            layers.arrays[key] = body
    return layers


def hidden_first(keys: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split an old store's keys: the root's metadata, and all other metadata.

    Without the first, the store cannot be opened; without both, no group can be opened either.
    """
    present = list(keys)
    root = [key for key in ROOT_KEYS if key in present]
    return root, [key for key in present if is_metadata(key) and key not in root]

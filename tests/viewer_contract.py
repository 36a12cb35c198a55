"""Checks a viewer store against the contract of NOAA's AA-SI_EchogramGL (1.0 of its pyramids).

The root has `multiscales`; each level is a group with a float16 array of (channel, ping,
sample) in tiles of (1, 2048, 512), not sharded, with `range_start`, `range_step` and
`ping_time`. A float16 holds the `nodata` -9999 as -10000, so readers must compare with a
tolerance: less than -9000 is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import zarr

_FIXED = {
    "aggregation": "linear_mean",
    "nodata": -9999,
    "channelDim": "channel",
}
_TILE = (1, 2048, 512)
_VERTICAL = ("range", "depth")
_OPTIONAL = ("latitude", "longitude", "transducer_depth")


def violations(store: Any) -> list[str]:
    """Each breach of the contract in a sentence; empty for a store that readers can open."""
    try:
        root = zarr.open_group(store, mode="r", zarr_format=3)
    except (FileNotFoundError, ValueError) as error:
        return [f"it cannot be opened as a group of Zarr 3: {error}"]
    scales = root.attrs.get("multiscales")
    if not isinstance(scales, list) or len(scales) != 1 or not isinstance(scales[0], dict):
        return ["its root has no attribute multiscales with one entry"]
    return list(_of_scale(root, scales[0]))


def _of_scale(root: zarr.Group, scale: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _FIXED.items():
        if scale.get(name) != value:
            yield f"multiscales: {name} is {scale.get(name)!r}, not {value!r}"
    if scale.get("verticalRef") not in _VERTICAL:
        yield f"multiscales: verticalRef is {scale.get('verticalRef')!r}, not range or depth"
    if not isinstance(scale.get("name"), str) or scale.get("axes", [])[-2:] != ["ping", "sample"]:
        yield "multiscales: it has no name, or its axes do not end in ping, sample"
    datasets = scale.get("datasets") or []
    if not datasets or datasets[0].get("factors") != [1, 1]:
        yield "multiscales: the first dataset is not the finest, with the factors 1, 1"
    finest: tuple[int, ...] | None = None
    for dataset in datasets:
        path, factors = dataset.get("path"), dataset.get("factors", [0, 0])
        if path not in root or not isinstance(group := root[path], zarr.Group):
            yield f"level {path}: there is no such group"
            continue
        yield from (
            f"level {path}: {text}" for text in _of_level(group, str(scale.get("dataType")))
        )
        array = group.get(str(scale.get("dataType")))
        if not isinstance(array, zarr.Array) or array.ndim != len(_TILE):
            continue
        finest = finest or array.shape
        expected = (finest[0], -(-finest[1] // factors[0]), -(-finest[2] // factors[1]))
        if array.shape != expected:
            yield f"level {path}: its shape is {array.shape}, but its factors give {expected}"


def _of_level(group: zarr.Group, name: str) -> Iterator[str]:
    values = group.get(name)
    if not isinstance(values, zarr.Array) or values.ndim != len(_TILE):
        yield f"it has no array {name} of channel, ping and sample"
        return
    if values.dtype != np.float16:
        yield f"{name} is {values.dtype}, not float16"
    if values.chunks != _TILE:
        yield f"{name} has chunks of {values.chunks}, not {_TILE}"
    if values.shards is not None:
        yield f"{name} is sharded"
    channels, pings, _ = values.shape
    wanted = {
        "range_start": (channels, pings),
        "range_step": (channels, pings),
        "ping_time": (pings,),
    }
    wanted |= {optional: (pings,) for optional in _OPTIONAL if optional in group}
    for each, shape in wanted.items():
        array = group.get(each)
        if not isinstance(array, zarr.Array):
            yield f"it has no array {each}"
        elif array.shape != shape:
            yield f"{each} has the shape {array.shape}, not {shape}"
        elif each == "ping_time" and array.dtype != np.int64:
            yield f"ping_time is {array.dtype}, not int64"

"""The JSON documents of a Zarr store, for formats 2 and 3.

Formats: https://zarr-specs.readthedocs.io (v2 and v3 core), consolidated metadata as in
zarr-python 3, dimension names and CF attributes as in xarray's Zarr encoding
specification. Writing the documents directly takes a tenth of the time of creating each
array through zarr-python.
"""

from __future__ import annotations

import json
import math
import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flows.core.packing import Codec
from flows.encoding.zarr_layers import CONSOLIDATED_ROOT

ZarrFormat: TypeAlias = Literal[2, 3]
Document: TypeAlias = dict[str, Any]

# numcodecs' numbers for blosc's shuffles in format 2.
_SHUFFLE_NUMBERS = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}

# Bytes of 64 characters.
_LONGEST_CONSTANT = 256
# Doubles have every integer below this one.
_EXACT_INTEGERS = 2**53

# The outer frame of codec family 1. Its level hardly matters, because its content is already
# compressed; the frame only makes the family different.
OUTER_LEVEL = 1


@dataclass(frozen=True)
class StoredArray:
    """The description that a reader needs for one array's chunks.

    `fill` is the CF `_FillValue` or None; NaN is the only float. `constant` is the value of
    all elements of an array that has no chunks, as `constant_of` returns it, else None.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    codec: Codec
    attributes: Mapping[str, Any]
    fill: int | float | None = None
    constant: int | float | str | None = None


def constant_of(values: NDArray[Any]) -> int | float | str | None:
    """The value of all elements of an array, if a `fill_value` of format 3 has exactly its bits.

    None if elements differ, for an array without elements, for texts of more than 64
    characters (every group's metadata would repeat them), for a NaN other than numpy's own,
    and for integers that JSON readers with only doubles would round.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    bits = flat.view(f"V{flat.itemsize}")
    if not flat.size or flat.itemsize > _LONGEST_CONSTANT or (bits != bits[0]).any():
        return None
    value: int | float | str = flat[0].item()
    if isinstance(value, float) and math.isnan(value):
        return "NaN" if bits[0] == np.full(1, np.nan, flat.dtype).view(bits.dtype)[0] else None
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    is_rounded = isinstance(value, int) and abs(value) >= _EXACT_INTEGERS
    # A surrogate without its other half.
    is_no_text = isinstance(value, str) and value != value.encode(errors="replace").decode()
    return None if is_rounded or is_no_text else value


def array_documents(
    array: StoredArray, zarr_format: ZarrFormat, codec_family: int
) -> dict[str, Document]:
    """Document name -> document of one array (`zarr.json`, or `.zarray` and `.zattrs`)."""
    if zarr_format == 3:
        return {"zarr.json": _array_v3(array, codec_family)}
    return {
        ".zarray": _array_v2(array, codec_family),
        ".zattrs": {**_plain(array.attributes), "_ARRAY_DIMENSIONS": list(array.dims)},
    }


def group_documents(attributes: Mapping[str, Any], zarr_format: ZarrFormat) -> dict[str, Document]:
    """Document name -> document of one group (`zarr.json`, or `.zgroup` and `.zattrs`)."""
    if zarr_format == 3:
        return {
            "zarr.json": {"attributes": _plain(attributes), "zarr_format": 3, "node_type": "group"}
        }
    return {".zgroup": {"zarr_format": 2}, ".zattrs": _plain(attributes)}


def consolidate(
    documents: Mapping[str, Document], group: str, zarr_format: ZarrFormat
) -> tuple[str, Document]:
    """(key, document) with the metadata of everything below `group` ("" for the root).

    documents: key relative to the root -> document, consolidated ones excluded. Every
        group has one, so that opening a single group needs one request, not a listing.
    """
    prefix = f"{group}/" if group else ""
    # Sorted, because zarr-python 3 loses children that are not adjacent.
    below = {
        k.removeprefix(prefix): documents[k] for k in sorted(documents) if k.startswith(prefix)
    }
    if zarr_format == 2:
        return prefix + CONSOLIDATED_ROOT[2], {"metadata": below, "zarr_consolidated_format": 1}
    own = below.pop("zarr.json")
    metadata = {k.removesuffix("/zarr.json"): d for k, d in below.items()}
    inline = {"kind": "inline", "must_understand": False, "metadata": metadata}
    return prefix + CONSOLIDATED_ROOT[3], {**own, "consolidated_metadata": inline}


def chunk_key(index: Sequence[int], zarr_format: ZarrFormat) -> str:
    """The key of a chunk below its array."""
    if zarr_format == 3:
        return "/".join(["c", *map(str, index)])
    return ".".join(map(str, index)) or "0"


def as_bytes(document: Document) -> bytes:
    """The stored form of a document: JSON without blanks.

    NaN in an attribute is written as in zarr-python (`NaN`).
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(attributes: Mapping[str, Any]) -> Document:
    """Attributes as JSON values: numpy scalars, arrays and tuples are converted."""
    return {str(name): _plain_value(value) for name, value in attributes.items()}


def _plain_value(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_plain_value(v) for v in value]
    return value


def _array_v3(array: StoredArray, codec_family: int) -> Document:
    codecs: list[Document] = [
        {"name": "bytes", "configuration": {"endian": "little"}}
        if array.dtype.itemsize > 1
        else {"name": "bytes"},
        {
            "name": "blosc",
            "configuration": {
                "typesize": element_size(array.dtype),
                "cname": array.codec.cname,
                "clevel": array.codec.clevel,
                "shuffle": array.codec.shuffle,
                "blocksize": array.codec.blocksize,
            },
        },
    ]
    if codec_family == 1:
        outer = {"level": OUTER_LEVEL, "checksum": False}
        codecs.append({"name": "zstd", "configuration": outer})
    attributes = dict(array.attributes)
    if isinstance(array.fill, float):
        # xarray stores a float's _FillValue as base64 of its eight bytes.
        attributes["_FillValue"] = b64encode(struct.pack("<d", array.fill)).decode()
    elif array.fill is not None:
        attributes["_FillValue"] = array.fill
    document: Document = {
        "shape": list(array.shape),
        "data_type": _data_type_v3(array.dtype),
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(array.chunks)},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_value_v3(array),
        "codecs": codecs,
        "attributes": _plain(attributes),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    if array.dims:
        document["dimension_names"] = list(array.dims)
    return document


def _array_v2(array: StoredArray, codec_family: int) -> Document:
    blosc = {
        "id": "blosc",
        "cname": array.codec.cname,
        "clevel": array.codec.clevel,
        "shuffle": _SHUFFLE_NUMBERS[array.codec.shuffle],
        "blocksize": array.codec.blocksize,
    }
    outer = {"id": "zstd", "level": OUTER_LEVEL, "checksum": False}
    return {
        "shape": list(array.shape),
        "chunks": list(array.chunks),
        "dtype": array.dtype.newbyteorder("<").str,
        # xarray uses the fill value of a format 2 array as its _FillValue: an integer or string
        # array with one would lose its zeros, and a float array with one would not widen to the
        # dtype of its scale_factor.
        "fill_value": "NaN" if isinstance(array.fill, float) else array.fill,
        "order": "C",
        "filters": [blosc] if codec_family == 1 else None,
        "compressor": outer if codec_family == 1 else blosc,
        "dimension_separator": ".",
        "zarr_format": 2,
    }


def _fill_value_v3(array: StoredArray) -> int | float | str:
    if array.constant is not None:
        return array.constant
    if isinstance(array.fill, int):
        return array.fill
    return {"f": "NaN", "U": ""}.get(array.dtype.kind, 0)


def _data_type_v3(dtype: np.dtype[Any]) -> str | Document:
    if dtype.kind == "U":
        return {
            "name": "fixed_length_utf32",
            "configuration": {"length_bytes": dtype.itemsize},
        }
    return dtype.name


def element_size(dtype: np.dtype[Any]) -> int:
    """Bytes of the element that blosc shuffles: a number, or one character of a string."""
    return 4 if dtype.kind == "U" else dtype.itemsize

"""Encodes an EchoData as the objects of a Zarr store, one by one.

It is lossless: xarray and echopype read the same dtypes and bits as in the EchoData. It
works chunk by chunk, without a copy of a whole sample variable.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from flows.core.packing import SAMPLE_DIMENSION, Codec, codec_for, packings_for
from flows.encoding.cf_variables import StorableGroup, StorableVariable, storable_groups
from flows.encoding.chunking import check_requested_chunks, chunk_lengths, is_large
from flows.encoding.encoded_chunks import EncodedObject
from flows.encoding.zarr_chunks import ArrayPlan, ChunkWriter
from flows.encoding.zarr_documents import (
    Document,
    ZarrFormat,
    array_documents,
    as_bytes,
    chunk_key,
    consolidate,
    group_documents,
)

if TYPE_CHECKING:
    from echopype.echodata import EchoData


def encode_zarr(
    echodata: EchoData,
    *,
    compact: bool = True,
    chunks: Mapping[str, int] | None = None,
    zarr_format: ZarrFormat = 3,
    codec_family: int | None = 0,
) -> dict[str, bytes]:
    """The store of an EchoData in memory: key relative to its root -> object body.

    Arguments and errors as for `stream_zarr`.
    """
    objects: dict[str, bytes] = {}
    of_groups = stream_zarr(
        echodata,
        lambda item: objects.update({item.key: item.body}),
        compact=compact,
        chunks=chunks,
        zarr_format=zarr_format,
        codec_family=codec_family,
    )
    return {**objects, **of_groups}


def stream_zarr(
    echodata: EchoData,
    put: Callable[[EncodedObject], None],
    *,
    compact: bool = True,
    chunks: Mapping[str, int] | None = None,
    zarr_format: ZarrFormat = 3,
    codec_family: int | None = 0,
) -> dict[str, bytes]:
    """Pass the arrays of an EchoData's store to `put`; return its groups' metadata, key -> body.

    put: takes one object at a time: of each array first the chunks, then the metadata.
    compact: pack the samples if that is exact, with chunks suited to reading from S3.
        False: dtypes, chunks and codecs of `EchoData.to_zarr`.
    chunks: dimension -> length for the sample variables; -1 for whole.
    codec_family: 0 or 1; a chunk of one family never decodes with the metadata of the
        other. Every chunk is written, also one with only fill values, because a missing
        chunk would read as fill values with any metadata. None is 0 where no reader can
        have older metadata: a small array of one value then has no chunk in format 3 if
        `compact`, only the value as its `fill_value`.

    Consolidated metadata is in the root and in every group. Raises
    ChunksNotUsableError for `chunks` that fit no sample variable,
    DtypeNotStorableError for a dtype that Zarr does not support.
    """
    groups = storable_groups(echodata)
    check_requested_chunks([group.extents() for group in groups.values()], chunks)
    workers = min(4, os.cpu_count() or 1)
    documents: dict[str, Document] = {}
    of_groups: dict[str, bytes] = {}
    variables = [v for group in groups.values() for v in group.variables.values()]
    values, done = sum(map(_values_bytes, variables)) or 1, 0
    with ThreadPoolExecutor(workers, thread_name_prefix="encode") as pool:
        writer = ChunkWriter(pool, workers, codec_family or 0)
        constants = codec_family is None and compact and zarr_format == 3
        for path, group in groups.items():
            prefix = f"{path}/" if path else ""
            for key, document in group_documents(group.attributes, zarr_format).items():
                documents[prefix + key] = document
                of_groups[prefix + key] = as_bytes(document)
            plans = _compact_plans(group, chunks) if compact else _own_plans(echodata, path, chunks)
            for name, variable in group.variables.items():
                array = f"{prefix}{name}/"
                done += _values_bytes(variable)
                keep = name == "ping_time" or not is_large(variable.shape)
                make = functools.partial(EncodedObject, fraction=done / values)
                stored = writer.write(
                    variable,
                    plans[name],
                    functools.partial(
                        _put_chunk, put, functools.partial(make, keep=keep), array, zarr_format
                    ),
                    # Ping times are always read back.
                    constant=constants and keep and name != "ping_time",
                )
                described = array_documents(stored, zarr_format, codec_family or 0)
                for key, document in described.items():
                    documents[array + key] = document
                    put(make(array + key, as_bytes(document), keep=True))
    for path in groups:
        key, document = consolidate(documents, path, zarr_format)
        of_groups[key] = as_bytes(document)
    return of_groups


def _put_chunk(  # noqa: PLR0917 - used with functools.partial
    put: Callable[[EncodedObject], None],
    make: Callable[[str, bytes], EncodedObject],
    array: str,
    zarr_format: ZarrFormat,
    index: tuple[int, ...],
    body: bytes,
) -> None:
    put(make(array + chunk_key(index, zarr_format), body))


def _values_bytes(variable: StorableVariable) -> int:
    return math.prod(variable.shape) * variable.dtype.itemsize


def _compact_plans(group: StorableGroup, chunks: Mapping[str, int] | None) -> dict[str, ArrayPlan]:
    lengths = chunk_lengths(group.extents(), chunks)
    return {
        name: ArrayPlan(
            lengths[name],
            codec_for(variable.dims, variable.dtype),
            packings_for(variable.dims, variable.dtype),
        )
        for name, variable in group.variables.items()
    }


def _own_plans(
    echodata: EchoData, path: str, chunks: Mapping[str, int] | None
) -> dict[str, ArrayPlan]:
    """The encoding of echopype of one group, from its tables."""
    # echopype takes seconds to import, and the creator of an EchoData has imported it already.
    from echopype.utils.coding import (  # noqa: PLC0415
        COMPRESSION_SETTINGS,
        set_zarr_encodings,
    )

    dataset = echodata[path or "Top-level"]
    plans: dict[str, ArrayPlan] = {}
    if dataset is None:
        return plans
    for name, encoding in set_zarr_encodings(dataset, COMPRESSION_SETTINGS["zarr"]).items():
        variable = dataset.variables[name]
        own = dict(zip(variable.dims, encoding.get("chunks", ()), strict=True))
        if SAMPLE_DIMENSION in variable.dims:
            own.update(
                {
                    d: n if n != -1 else variable.sizes[d]
                    for d, n in (chunks or {}).items()
                    if d in own
                }
            )
        blosc = encoding["compressor"].to_dict()["configuration"]
        plans[name] = ArrayPlan(
            tuple(max(1, min(size, own[dim])) for dim, size in variable.sizes.items()),
            Codec(blosc["cname"], blosc["clevel"], blosc["shuffle"]),
            fill=np.nan if variable.dtype.kind == "f" else None,
        )
    return plans

"""Writes one variable as compressed Zarr chunks, packed if that is exact."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray

from flows.core.packing import Codec, Packing
from flows.encoding.cf_variables import StorableVariable
from flows.encoding.chunking import chunk_regions
from flows.encoding.zarr_documents import OUTER_LEVEL, StoredArray, constant_of, element_size

T = TypeVar("T")
Region: TypeAlias = tuple[slice, ...]
Index: TypeAlias = tuple[int, ...]
Chunks: TypeAlias = Iterator[tuple[Index, bytes]]
# Takes one chunk.
Put: TypeAlias = Callable[[Index, bytes], None]

_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}


@dataclass(frozen=True)
class ArrayPlan:
    """How to write one array.

    `packings` are tried in turn, each with its codec. `codec` and `fill`, the
    `_FillValue`, apply without packing; `fill` is NaN for echopype's own encoding, else
    None.
    """

    lengths: tuple[int, ...]
    codec: Codec
    packings: Sequence[Packing] = ()
    fill: float | None = None


@dataclass(frozen=True)
class ChunkWriter:
    """Packs and compresses chunks in the threads of `pool`, for one codec family.

    At most `ahead` results, with their chunks in memory, wait to be collected.
    """

    pool: ThreadPoolExecutor
    ahead: int
    codec_family: int

    def write(
        self, variable: StorableVariable, plan: ArrayPlan, put: Put, *, constant: bool = False
    ) -> StoredArray:
        """Pass each chunk to `put`, also one with only fill values; return the array's description.

        Chunks with a certain packing are passed on immediately. Others wait until all
        chunks of their array are packed, because the next packing may be needed. With
        `constant` an array of one value has no chunk if it is not packed.
        """
        regions = dict(chunk_regions(variable.shape, plan.lengths))
        describe = partial(StoredArray, variable.dims, variable.shape, plan.lengths)
        own = variable.own_packing() if plan.packings else None
        packings = plan.packings if own is None else (own,)
        for packing in packings if regions else ():
            chunks = self._packed(variable, plan, packing, regions)
            if own is None:
                made = list(chunks)
                if len(made) < len(regions):
                    continue
                chunks = iter(made)
            for index, body in chunks:
                put(index, body)
            attributes = dict(variable.attributes)
            if packing.scale_factor is not None:
                attributes["scale_factor"] = packing.scale_factor
            return describe(
                dtype=packing.stored, attributes=attributes, fill=packing.fill, codec=packing.codec
            )
        unpacked = partial(
            describe,
            dtype=variable.dtype,
            attributes=variable.attributes,
            fill=plan.fill,
            codec=plan.codec,
        )
        if constant and len(regions) == 1:
            (region,) = regions.values()
            value = constant_of(variable.read(region))
            if value is not None:
                return unpacked(constant=value)
        for index, body in self._unpacked(variable, plan, regions):
            put(index, body)
        return unpacked()

    def _unpacked(
        self,
        variable: StorableVariable,
        plan: ArrayPlan,
        regions: dict[tuple[int, ...], Region],
    ) -> Chunks:
        def body(region: Region) -> bytes:
            return self._compress(_whole_chunk(variable.read(region), plan.lengths), plan.codec)

        yield from zip(regions, self._each(body, list(regions.values())), strict=True)

    def _packed(
        self,
        variable: StorableVariable,
        plan: ArrayPlan,
        packing: Packing,
        regions: dict[tuple[int, ...], Region],
    ) -> Chunks:
        """The chunks before the first with a sample that the packing would change."""

        def body(region: Region) -> bytes | None:
            packed = variable.packed(region, packing)
            if packed is None:
                return None
            return self._compress(_whole_chunk(packed, plan.lengths, packing.fill), packing.codec)

        results = self._each(body, list(regions.values()))
        for index, packed in zip(regions, results, strict=True):
            if packed is None:
                results.close()
                return
            yield index, packed

    def _each(
        self, work: Callable[[Region], T], regions: Sequence[Region]
    ) -> Generator[T, None, None]:
        """`work` on each region, in order: the first here, the rest in the pool.

        The first region rejects most packings that do not fit, before a thread is used.
        """
        waiting: deque[Future[T]] = deque()
        try:
            for number, region in enumerate(regions):
                if number == 0:
                    yield work(region)
                    continue
                waiting.append(self.pool.submit(work, region))
                if len(waiting) >= self.ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _compress(self, chunk: NDArray[Any], codec: Codec) -> bytes:
        """A chunk's body in the encoding of this codec family."""
        elements = chunk.reshape(-1).view(f"u{element_size(chunk.dtype)}")
        shuffle = _SHUFFLES[codec.shuffle]
        body: bytes = Blosc(codec.cname, codec.clevel, shuffle, codec.blocksize).encode(elements)
        return Zstd(OUTER_LEVEL).encode(body) if self.codec_family == 1 else body


def _whole_chunk(
    values: NDArray[Any], lengths: tuple[int, ...], fill: int | None = None
) -> NDArray[Any]:
    """`values` as one whole chunk, little endian: those at the array's end are padded."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(values.shape)
    if values.shape == lengths:
        return little
    chunk = np.zeros(lengths, little.dtype)
    if fill is not None:
        chunk[...] = fill
    elif little.dtype.kind == "f":
        chunk[...] = np.nan
    chunk[tuple(map(slice, values.shape))] = little
    return chunk

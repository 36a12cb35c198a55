"""One variable as compressed Zarr chunks, packed where that is exact."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray

from flows.cf_variables import StorableVariable
from flows.chunking import chunk_regions
from flows.encoding import Codec, Packing, pack
from flows.zarr_documents import OUTER_LEVEL, StoredArray, element_size

T = TypeVar("T")
Region: TypeAlias = tuple[slice, ...]
Bodies: TypeAlias = dict[tuple[int, ...], bytes]

_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}


@dataclass(frozen=True)
class ArrayPlan:
    """How one array is to be written.

    `packings` are tried in turn. `fill` is the `_FillValue` of what is not
    packed: NaN where echopype's own encoding is asked for, else None.
    """

    lengths: tuple[int, ...]
    codec: Codec
    packings: Sequence[Packing] = ()
    fill: float | None = None


@dataclass(frozen=True)
class ChunkWriter:
    """Packs and compresses chunks in the threads of `pool`, for one codec family.

    `ahead` results at most wait to be collected, each with its chunk's memory.
    """

    pool: ThreadPoolExecutor
    ahead: int
    codec_family: int

    def write(self, variable: StorableVariable, plan: ArrayPlan) -> tuple[StoredArray, Bodies]:
        """The array's description, and its chunks by index: every one, also if all fill."""
        regions = dict(chunk_regions(variable.shape, plan.lengths))
        describe = partial(
            StoredArray, variable.dims, variable.shape, plan.lengths, codec=plan.codec
        )
        for packing in plan.packings if regions else ():
            packed = self._packed(variable, plan, packing, regions)
            if packed is not None:
                attributes = dict(variable.attributes)
                if packing.scale_factor is not None:
                    attributes["scale_factor"] = packing.scale_factor
                stored = describe(dtype=packing.stored, attributes=attributes, fill=packing.fill)
                return stored, packed
        bodies = self._as_it_is(variable, plan, regions)
        stored = describe(dtype=variable.dtype, attributes=variable.attributes, fill=plan.fill)
        return stored, bodies

    def _as_it_is(
        self,
        variable: StorableVariable,
        plan: ArrayPlan,
        regions: dict[tuple[int, ...], Region],
    ) -> Bodies:
        def body(region: Region) -> bytes:
            return self._compress(_whole_chunk(variable.read(region), plan.lengths), plan.codec)

        return dict(zip(regions, self._each(body, list(regions.values())), strict=True))

    def _packed(
        self,
        variable: StorableVariable,
        plan: ArrayPlan,
        packing: Packing,
        regions: dict[tuple[int, ...], Region],
    ) -> Bodies | None:
        """The chunks; None if a sample is not exact."""

        def body(region: Region) -> bytes | None:
            packed = pack(variable.read(region), packing)
            if packed is None:
                return None
            return self._compress(_whole_chunk(packed, plan.lengths, packing.fill), plan.codec)

        bodies: Bodies = {}
        results = self._each(body, list(regions.values()))
        for index, packed in zip(regions, results, strict=True):
            if packed is None:
                results.close()
                return None
            bodies[index] = packed
        return bodies

    def _each(
        self, work: Callable[[Region], T], regions: Sequence[Region]
    ) -> Generator[T, None, None]:
        """`work` on each region, in order: the first here, the rest in the pool.

        The first tells most packings that do not fit, before a thread is asked.
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
        """A chunk's body, as the documents of this family say it is to be read."""
        elements = chunk.reshape(-1).view(f"u{element_size(chunk.dtype)}")
        body: bytes = Blosc(codec.cname, codec.clevel, _SHUFFLES[codec.shuffle]).encode(elements)
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

"""How the arrays of an EchoData are split into chunks: shapes in, chunk shapes out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TypeAlias

from flows.core.packing import SAMPLE_DIMENSION

# Dimensions, shape, and bytes per decoded element.
Extent: TypeAlias = tuple[Sequence[str], Sequence[int], int]

# Decoded bytes of one chunk. The stored chunk has a quarter of that for int16 power and half of it
# for complex samples, before compression. Smaller chunks would be more objects, whose price is more
# than that of the conversion.
CHUNK_BYTES = 64 * 2**20
# Number of elements from which only some chunks of a variable are compared.
LARGE_ELEMENTS = 2**16


class ChunksNotUsableError(ValueError):
    """The requested chunks have an unknown dimension or an invalid length."""

    def __init__(self, dimension: str, length: int, known: Sequence[str]) -> None:
        self.dimension = dimension
        self.length = length
        self.known = tuple(known)
        super().__init__(
            f"chunks={{{dimension!r}: {length}}} cannot be used: lengths are positive, or -1 for "
            f"the whole dimension, and the sample variables have the dimensions "
            f"{', '.join(known) or 'none'}"
        )


def is_large(shape: Sequence[int]) -> bool:
    """Whether only some chunks of a variable of this shape are compared."""
    return math.prod(shape) >= LARGE_ELEMENTS


def chunk_lengths(
    variables: Mapping[str, Extent],
    requested: Mapping[str, int] | None = None,
    *,
    limit: int = CHUNK_BYTES,
) -> dict[str, tuple[int, ...]]:
    """The chunk shape of each variable of one group.

    All sample variables of a group have the same chunks, so that one chunk of
        backscatter matches one chunk of angles: one chunk if the widest variable fits
            in `limit`, else one channel and as many pings as fit. `requested`
            (dimension -> length, -1 for whole) overrides that for the sample variables.
            Every other variable is one chunk unless it is larger than `limit`.

    Raises ChunksNotUsableError for a length below 1 or a dimension that no sample
    variable has.
    """
    samples = {n: v for n, v in variables.items() if SAMPLE_DIMENSION in v[0]}
    lengths = _sample_lengths(list(samples.values()), limit)
    for dimension, length in (requested or {}).items():
        if length == 0 or length < -1:
            known = sorted({d for dims, _, _ in samples.values() for d in dims})
            raise ChunksNotUsableError(dimension, length, known)
        lengths[dimension] = length
    chunks = {}
    for name, (dims, shape, itemsize) in variables.items():
        if name in samples:
            wanted = [lengths.get(d, -1) for d in dims]
        else:
            wanted = _whole_or_cut(shape, itemsize, limit)
        # A chunk has at least one element, even if the dimension has none.
        chunks[name] = tuple(
            max(1, s if w == -1 else min(s, w)) for s, w in zip(shape, wanted, strict=True)
        )
    return chunks


def check_requested_chunks(
    groups: Sequence[Mapping[str, Extent]],
    requested: Mapping[str, int] | None,
) -> None:
    """Raise ChunksNotUsableError if no sample variable of any group has a requested dimension."""
    known = sorted(
        {d for g in groups for dims, _, _ in g.values() if SAMPLE_DIMENSION in dims for d in dims}
    )
    for dimension, length in (requested or {}).items():
        if dimension not in known:
            raise ChunksNotUsableError(dimension, length, known)


def _sample_lengths(samples: Sequence[Extent], limit: int) -> dict[str, int]:
    """Lengths by dimension for the widest of a group's sample variables."""
    widest = max(samples, key=lambda v: math.prod(v[1]) * v[2], default=None)
    if widest is None or math.prod(widest[1]) * widest[2] <= limit:
        return {}
    dims, shape, itemsize = widest
    sizes = dict(zip(dims, shape, strict=True))
    lengths = {}
    if "channel" in sizes:
        lengths["channel"] = sizes["channel"] = 1
    pings = sizes.pop("ping_time", None)
    if pings is not None:
        lengths["ping_time"] = _equal_chunk_length(
            pings, math.prod(sizes.values()) * itemsize, limit
        )
    return lengths


def _whole_or_cut(shape: Sequence[int], itemsize: int, limit: int) -> list[int]:
    """One chunk; above `limit` bytes, cut along the longest dimension."""
    wanted = [-1] * len(shape)
    total = math.prod(shape) * itemsize
    if total > limit:
        longest = max(range(len(shape)), key=lambda axis: shape[axis])
        wanted[longest] = _equal_chunk_length(shape[longest], total // shape[longest], limit)
    return wanted


def _equal_chunk_length(length: int, bytes_each: int, limit: int) -> int:
    """The chunk length that splits `length` into the fewest equal parts under `limit`."""
    most = max(1, limit // bytes_each)
    return math.ceil(length / math.ceil(length / most))


def chunk_regions(
    shape: Sequence[int], chunks: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """(chunk index, region of the array) for each chunk; none if a dimension is empty."""
    counts = [math.ceil(s / c) for s, c in zip(shape, chunks, strict=True)]
    for index in product(*map(range, counts)):
        yield (
            index,
            tuple(
                slice(i * c, min(s, (i + 1) * c))
                for i, c, s in zip(index, chunks, shape, strict=True)
            ),
        )

"""How each variable of an EchoData is stored: packing, fill value and codec.

Nothing here reads or writes a file: these functions decide from values and dtypes. A
packing is only a proposal: `pack` checks it on every sample, and returns None if one
would decode to other bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The dimension that marks a variable as samples (backscatter, angles, velocity) in SONAR-netCDF4 as
# echopype writes it. Variables without it are small: one value per ping or per channel.
SAMPLE_DIMENSION = "range_sample"

# Simrad EK60 and EK80 power samples are int16 in units of 10*log10(2)/256 dB
# (Kongsberg, EK60 reference manual, "RAW0" datagram); echopype multiplies by
# the same float64.
SIMRAD_POWER_STEP = 10.0 * math.log10(2.0) / 256.0

# Samples checked at a time; their temporary arrays fit in the CPU's cache.
BLOCK_SAMPLES = 2**16


@dataclass(frozen=True)
class Codec:
    """Blosc settings; `shuffle` is `noshuffle`, `shuffle` or `bitshuffle`.

    `blocksize`: bytes that are shuffled and compressed together; 0 leaves it to blosc.
    """

    cname: str
    clevel: int
    shuffle: str
    blocksize: int = 0


# docs/decisions/zarr-layout.md has the measurements for this choice.
COMPACT_CODEC = Codec("zstd", 5, "bitshuffle")
# Power: bitshuffle leaves planes of bits that are either noise or nearly constant, and in blocks of
# this size the lowest level tells them apart as well as the fifth.
POWER_CODEC = Codec("zstd", 1, "bitshuffle", 256 * 2**10)
# Floats are mostly noise, which a higher level compresses little better. A block's four planes of
# bytes have 128 KiB each, as much as one block of zstd: each gets its own code, and the planes of
# noise are only copied. Blosc's own blocks, of 64 KiB, mix the planes.
FLOAT_CODEC = Codec("zstd", 1, "shuffle", 512 * 2**10)
# Angles of a split beam are noise, which no level compresses: a low one finds that out soonest.
ANGLE_CODEC = Codec("zstd", 2, "shuffle")


@dataclass(frozen=True)
class Packing:
    """A narrower dtype that CF decoding (scale_factor, _FillValue) reverses.

    `scale_factor` None means that xarray decodes to float32, which it does for integers
    of at most 16 bits with a `_FillValue`. `fill` is the `_FillValue` of integers. It
    is always written: xarray keeps a variable's encoding through concat, reindex and
    align, so NaN values that appear when files are combined and saved need a stored
    value too. None means that the stored dtype has its own NaN.
    """

    stored: np.dtype[Any]
    scale_factor: float | None
    fill: int | None
    codec: Codec = COMPACT_CODEC


# EK80 complex samples are float32 in the file, float64 in the EchoData.
COMPLEX_PACKING = Packing(np.dtype("float32"), 1.0, None, FLOAT_CODEC)


def _integers(stored: str, scale_factor: float | None, fill: int) -> Packing:
    return Packing(np.dtype(stored), scale_factor, fill)


_PACKINGS: dict[str, tuple[Packing, ...]] = {
    "float64": (
        # Each packing is followed by a wider one, for samples that contain the narrow one's fill
        # value.
        _integers("int16", SIMRAD_POWER_STEP, -(2**15)),
        _integers("int32", SIMRAD_POWER_STEP, -(2**31)),
        # Nortek AD2CP: amplitude in steps of 0.5 dB, velocity in steps of 10^n m/s.
        _integers("uint8", 0.5, 2**8 - 1),
        _integers("int16", 0.5, -(2**15)),
        _integers("int16", 1e-3, -(2**15)),
        _integers("int32", 1e-3, -(2**31)),
        _integers("int16", 1e-4, -(2**15)),
        _integers("int32", 1e-4, -(2**31)),
        # Angles are int8 in the file; echopype's swap makes them float64.
        _integers("int8", 1.0, -(2**7)),
        _integers("int16", 1.0, -(2**15)),
        _integers("int32", 1.0, -(2**31)),
        COMPLEX_PACKING,
    ),
    "float32": (
        _integers("int16", None, -(2**15)),
        # AZFP counts without averaging.
        _integers("uint16", None, 2**16 - 1),
    ),
}


def packings_for(dims: Sequence[str], dtype: np.dtype[Any]) -> tuple[Packing, ...]:
    """The packings to try on a variable, the narrowest first.

    Only samples are packed. The other variables are small, and keep their own dtype.
    """
    if SAMPLE_DIMENSION not in dims:
        return ()
    return _PACKINGS.get(dtype.name, ())


def codec_for(dims: Sequence[str], dtype: np.dtype[Any]) -> Codec:
    """The codec of a variable that is not packed."""
    is_angle = SAMPLE_DIMENSION in dims and dtype.name == "int8"
    return ANGLE_CODEC if is_angle else COMPACT_CODEC


def pack(values: NDArray[Any], packing: Packing) -> NDArray[Any] | None:
    """`values` packed, or None if one sample would not decode to the same bits.

    values: float64 or float32 samples of any shape; the result has the same shape and
        the dtype `packing.stored`. A fill value decodes to numpy's NaN, so a NaN with
        another sign or payload is not packed, and no sample may be equal to the fill
        value; -0.0 is not 0.0. The comparison uses the same arithmetic as xarray's
        decoding.
    """
    stored = np.empty(values.shape, packing.stored)
    samples = np.ascontiguousarray(values).reshape(-1)
    flat = stored.reshape(-1)
    for start in range(0, samples.size, BLOCK_SAMPLES):
        block = slice(start, start + BLOCK_SAMPLES)
        if not _pack_block(samples[block], packing, flat[block]):
            return None
    return stored


def _pack_block(samples: NDArray[Any], packing: Packing, out: NDArray[Any]) -> bool:
    """Pack into `out`; return False if a sample would change."""
    nan = np.isnan(samples)
    has_nan = bool(nan.any())
    if packing.fill is None:
        # A double beyond float32 becomes infinite, a signaling NaN a quiet one: the check below
        # finds both.
        with np.errstate(over="ignore", invalid="ignore"):
            out[...] = samples
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            steps = samples if packing.scale_factor is None else samples / packing.scale_factor
        steps = np.rint(steps)
        if has_nan:
            steps[nan] = packing.fill
        limits = np.iinfo(packing.stored)
        if not (limits.min <= steps.min() and steps.max() <= limits.max):
            return False
        out[...] = steps
    decoded = out.astype(samples.dtype)
    if packing.scale_factor is not None:
        decoded *= packing.scale_factor
    if packing.fill is not None:
        decoded[out == packing.fill] = np.nan
    bits = np.dtype(f"u{samples.dtype.itemsize}")
    return bool((decoded.view(bits) == samples.view(bits)).all())

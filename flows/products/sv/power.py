"""The power of complex samples: mean of the sectors, and pulse compression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Samples that meet only this share of the pulse's energy are summed. The rounding of a Fourier
# transform of doubles is 1e-16 of the strongest sample, beside which the last ones are very faint.
_FAINT = 1e-3


def mean_of_sectors(real: NDArray[Any], imaginary: NDArray[Any]) -> tuple[Floats, Floats]:
    """The mean over the sectors that have a sample.

    Args:
        real: NaN where there is no sample (pings by samples by sectors).
        imaginary: NaN counts as 0 where `real` has a sample.

    Returns:
        Its real and its imaginary part (pings by samples); NaN where no sector has a sample.
    """
    used = np.flatnonzero(np.isfinite(real[:1]).any(axis=(0, 1)))
    others = [number for number in range(real.shape[2]) if number not in used]
    if used.size and not any(np.isfinite(real[..., number]).any() for number in others):
        means = _mean(real, used), _mean(imaginary, used)
        left = ~(np.isfinite(means[0]) & np.isfinite(means[1]))
    else:
        means = np.full(real.shape[:2], np.nan), np.full(real.shape[:2], np.nan)
        left = np.ones(real.shape[:2], bool)
    known = np.isfinite(real[left])
    if known.any():
        with np.errstate(invalid="ignore"):
            for mean, values in zip(means, (real, imaginary), strict=True):
                some = np.where(known, np.nan_to_num(values[left]), 0.0)
                mean[left] = some.sum(axis=-1, dtype=np.float64) / known.sum(axis=-1)
    return means


def _mean(values: NDArray[Any], used: NDArray[np.intp]) -> Floats:
    """Sector by sector, in double precision: the sectors may all but cancel."""
    first, *others = used.tolist()
    found: Floats = values[..., first].astype(np.float64)
    for number in others:
        found += values[..., number]
    found /= used.size
    return found


def compressed(samples: Complex, replica: Complex) -> Complex:
    """The correlation of each ping with the replica, as echopype's `compress_pulse`.

    The very last samples of a ping meet only the faint begin of the pulse, which the rounding
    of a Fourier transform would hide, so they are summed.

    Args:
        samples: NaN where there is no sample, which counts as 0 (pings by samples).
        replica: the transmitted pulse (any length).

    Returns:
        Pings by samples; NaN where `samples` is.
    """
    from scipy import fft  # type: ignore[import-untyped]  # noqa: PLC0415 - only FM needs it

    missing = np.isnan(samples)
    width = samples.shape[1]
    length = fft.next_fast_len(width + replica.size - 1)
    spectrum = fft.fft(np.where(missing, 0, samples), length, axis=1, overwrite_x=True)
    spectrum *= np.conj(fft.fft(replica, length))
    found: Complex = fft.ifft(spectrum, axis=1, overwrite_x=True)[:, :width]
    ends = width - missing[:, ::-1].argmin(axis=1)
    energy = np.cumsum(np.abs(replica) ** 2)
    faint = int(np.searchsorted(energy, energy[-1] * _FAINT))
    for end in np.unique(ends):
        begin, rows = max(0, end - faint), np.flatnonzero(ends == end)
        last = np.where(missing[rows, begin:end], 0, samples[rows, begin:end])
        summed = np.zeros_like(last)
        # Not a product of matrices: its library starts threads, which then wait at full speed.
        for lag in range(end - begin):
            summed[:, : end - begin - lag] += last[:, lag:] * np.conj(replica[lag])
        found[rows, begin:end] = summed
    found[missing] = np.nan
    return found


def noise(width: int) -> Complex:
    """One ping of random samples (1 by width)."""
    real, imaginary = np.random.default_rng(1).standard_normal((2, 1, width))
    found: Complex = real + 1j * imaginary
    return found

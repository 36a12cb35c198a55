"""The power of complex samples: mean of the sectors, and pulse compression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft  # type: ignore[import-untyped]

Complex = NDArray[np.complex128]


def mean_of_sectors(real: NDArray[Any], imaginary: NDArray[Any]) -> Complex:
    """The mean over the sectors that have a sample.

    Args:
        real: NaN where there is no sample (pings by samples by sectors).
        imaginary: NaN counts as 0 where `real` has a sample.

    Returns:
        Pings by samples; NaN where no sector has a sample.
    """
    used = np.flatnonzero(np.isfinite(real[:1]).any(axis=(0, 1)))
    found: Complex = np.full(real.shape[:2], np.nan, np.complex128)
    others = [number for number in range(real.shape[2]) if number not in used]
    if used.size and not any(np.isfinite(real[..., number]).any() for number in others):
        # Sector by sector, in double precision: the sectors may all but cancel.
        found[...] = 0
        for number in used:
            found.real += real[..., number]
            found.imag += imaginary[..., number]
        found /= used.size
    left = ~np.isfinite(found)
    known = np.isfinite(real[left])
    if known.any():
        sums = [
            np.where(known, np.nan_to_num(values[left]), 0.0).sum(axis=-1, dtype=np.float64)
            for values in (real, imaginary)
        ]
        with np.errstate(invalid="ignore"):
            found[left] = (sums[0] + 1j * sums[1]) / known.sum(axis=-1)
    return found


def replica_of(echodata: Any) -> Complex:  # noqa: ANN401 - echopype ships no types
    """The transmitted FM pulse as the receiver filters it, of the one channel's first ping."""
    # PLC0415: its import takes a second.
    from echopype.calibrate.api import CALIBRATOR  # noqa: PLC0415
    from echopype.calibrate.ek80_complex import (  # noqa: PLC0415
        get_filter_coeff,
        get_transmit_signal,
    )

    calibrator = CALIBRATOR[echodata.sonar_model](
        echodata, env_params={}, cal_params={}, waveform_mode="BB", encode_mode="complex"
    )
    rate = calibrator.cal_params["receiver_sampling_frequency"]
    sent, _ = get_transmit_signal(calibrator.beam, get_filter_coeff(calibrator.vend), "BB", rate)
    (replica,) = sent.values()
    return np.asarray(replica, np.complex128)


def compressed(samples: Complex, replica: Complex) -> Complex:
    """The correlation of each ping with the replica, as echopype's `compress_pulse`.

    The last samples of a ping meet only the faint begin of the pulse, which the rounding of
    a Fourier transform would hide, so they are summed.

    Args:
        samples: NaN where there is no sample, which counts as 0 (pings by samples).
        replica: the transmitted pulse (any length).

    Returns:
        Pings by samples; NaN where `samples` is.
    """
    missing = np.isnan(samples)
    width = samples.shape[1]
    length = fft.next_fast_len(width + replica.size - 1)
    spectrum = fft.fft(np.where(missing, 0, samples), length, axis=1, overwrite_x=True)
    spectrum *= np.conj(fft.fft(replica, length))
    found: Complex = fft.ifft(spectrum, axis=1, overwrite_x=True)[:, :width]
    ends = width - missing[:, ::-1].argmin(axis=1)
    for end in np.unique(ends):
        begin, rows = max(0, end - replica.size), np.flatnonzero(ends == end)
        later = np.subtract.outer(np.arange(end - begin), np.arange(end - begin))
        shifted = np.where(later >= 0, np.conj(replica)[np.maximum(later, 0)], 0)
        last = slice(begin, end)
        found[rows, last] = np.where(missing[rows, last], 0, samples[rows, last]) @ shifted
    found[missing] = np.nan
    return found


def noise(width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Real and imaginary part of a ping of random samples, of one sector (1 by width by 1)."""
    real, imaginary = np.random.default_rng(1).standard_normal((2, 1, width, 1))
    return real, imaginary

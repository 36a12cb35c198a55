"""Sv of a few pings by echopype; of the channels of a group, those of their first pings by one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.products.sv.channel_slices import ChannelSlices
from flows.products.sv.panels import Encoding, Floats
from flows.products.sv.power import Complex
from flows.products.sv.stored_samples import Stored

#: An AZFP measures neither. These are of shelf water.
ASSUMED_WATER = {"salinity": 35.0, "pressure": 50.0}


class NotCalibratedError(Exception):
    """echopype cannot compute Sv of this channel; the text says why."""


@dataclass(frozen=True, eq=False)
class ComputedSv:
    """What echopype computes of an EchoData.

    Attributes:
        values: Sv, NaN where it is not finite (channel, ping, sample).
        ranges: in m, of the same shape.
        replicas: of each channel, in its order, the FM pulse that it compresses with.
    """

    values: Floats
    ranges: Floats
    replicas: list[Complex]


def computed_sv(echodata: Any, encoding: Encoding) -> ComputedSv:  # noqa: ANN401 - echopype ships no types
    """Compute Sv by echopype.

    Raises:
        NotCalibratedError: echopype does not calibrate the model, or fails.
    """
    from echopype.calibrate import compute_Sv, ek80_complex  # noqa: PLC0415 - takes a second
    from echopype.calibrate.api import CALIBRATOR  # noqa: PLC0415 - as above

    # It uses one function of scipy.signal, whose import takes longer than the whole picture.
    ek80_complex.signal = _Convolution
    # It warns, for each channel and setting, that an EK60 has no sampling frequency of a receiver.
    logging.getLogger("echopype.calibrate.calibrate_ek").setLevel(logging.ERROR)
    model = echodata.sonar_model
    if model not in CALIBRATOR:
        raise NotCalibratedError(f"echopype does not calibrate {model}")
    options: dict[str, Any] = {}
    if encoding == "counts":
        options["env_params"] = dict(ASSUMED_WATER)
    elif model not in {"EK60", "ES70"}:
        waveform = "BB" if encoding == "complex_FM" else "CW"
        encode = "power" if encoding == "power" else "complex"
        options = {"waveform_mode": waveform, "encode_mode": encode}
    try:
        found = compute_Sv(echodata, **options)
        replicas: list[Complex] = []
        if encoding == "complex_FM":
            replicas = replicas_of(echodata, found["receiver_sampling_frequency"])
    # BLE001: echopype raises many types.
    except Exception as error:
        raise NotCalibratedError(f"{type(error).__name__}: {error}") from error
    two = found[["Sv", "echo_range"]].transpose("channel", "ping_time", "range_sample")
    values, ranges = two["Sv"].values, two["echo_range"].values
    return ComputedSv(np.where(np.isfinite(values), values, np.nan), ranges, replicas)


class _Convolution:
    """What echopype's calibration uses of scipy.signal."""

    @staticmethod
    def convolve(
        one: NDArray[Any], other: NDArray[Any], mode: Literal["full"] = "full"
    ) -> NDArray[Any]:
        """As `scipy.signal.convolve`, of one dimension."""
        return np.convolve(one, other, mode)


def of_first_pings(
    slices: Sequence[ChannelSlices], samples: Stored | None = None
) -> ComputedSv | None:
    """Sv of one ping of each of these channels of a group, with its first ping's settings.

    Of these samples, or of a level of 0 dB. None if they cannot be calibrated together.
    """
    together = ChannelSlices.of_first_pings(slices, samples)
    if together is None:
        return None
    try:
        return computed_sv(together, slices[0].panel.encoding)
    except NotCalibratedError:
        return None


def replicas_of(echodata: Any, sampling: xr.DataArray) -> list[Complex]:  # noqa: ANN401 - as above
    """The transmitted FM pulse of each channel's first ping as its receiver filters it.

    Args:
        echodata: has one beam group and one filter for each channel.
        sampling: of the receivers, in Hz (channel).
    """
    from echopype.calibrate.ek80_complex import (  # noqa: PLC0415 - as above
        get_filter_coeff,
        get_transmit_signal,
    )

    beam = echodata["Sonar/Beam_group1"]
    filters = get_filter_coeff(echodata["Vendor_specific"].sel(channel=beam.channel))
    sent, _ = get_transmit_signal(beam, filters, "BB", sampling)
    return [np.asarray(sent[channel], np.complex128) for channel in beam["channel"].values]

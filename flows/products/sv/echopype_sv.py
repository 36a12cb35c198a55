"""Sv of a few pings by echopype; of the channels of a group, those of their first pings by one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from flows.products.sv.channel_slices import ChannelSlices
from flows.products.sv.depth_bins import first_and_step
from flows.products.sv.panels import Encoding, Floats

#: An AZFP measures neither. These are of shelf water.
ASSUMED_WATER = {"salinity": 35.0, "pressure": 50.0}


class NotCalibratedError(Exception):
    """echopype cannot compute Sv of this channel; the text says why."""


def computed_sv(echodata: Any, encoding: Encoding) -> xr.Dataset:  # noqa: ANN401 - echopype ships no types
    """`Sv` and `echo_range` of each channel, ping and sample; Sv is NaN where it is not finite.

    Raises:
        NotCalibratedError: echopype does not calibrate the model, or fails.
    """
    from echopype.calibrate import compute_Sv  # noqa: PLC0415 - its import takes a second
    from echopype.calibrate.api import CALIBRATOR  # noqa: PLC0415 - as above

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
    # BLE001: echopype raises many types.
    except Exception as error:
        raise NotCalibratedError(f"{type(error).__name__}: {error}") from error
    two: xr.Dataset = found[["Sv", "echo_range"]].transpose("channel", "ping_time", "range_sample")
    return two.assign(Sv=two["Sv"].where(np.isfinite(two["Sv"])))


def of_first_pings(slices: Sequence[ChannelSlices]) -> list[tuple[Floats, Floats, Floats]]:
    """For each of these channels of a group, Sv of a level of 0 dB, first range and step of its first ping.

    Arrays of one ping. Empty if the channels cannot be calibrated together.
    """
    together = ChannelSlices.of_first_pings(slices)
    if together is None:
        return []
    try:
        found = computed_sv(together, slices[0].panel.encoding)
    except NotCalibratedError:
        return []
    values, ranges = found["Sv"].values, found["echo_range"].values
    return [(values[n], *first_and_step(ranges[n])) for n in range(len(slices))]

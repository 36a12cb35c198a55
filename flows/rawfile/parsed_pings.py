"""Compares the pings that echopype read with those in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.core.outcomes import OutputMismatch
from flows.walk.summary import FileSummary, Times
from sonar_models import SONAR_MODELS


def compare_pings(echodata: Any, summary: FileSummary) -> None:  # noqa: ANN401 - echopype ships no types
    """Check that an EchoData has every whole ping of the file, time by time.

    Simrad: by channel, over all beam groups; a channel's pings are those of the common `ping_time` at
    which it has a sample interval. AZFP: all channels share the pings. AD2CP: by beam group, one for
    each kind of ping.

    Raises:
        OutputMismatch: echopype dropped, added or misdated pings; the message has the counts.
    """
    expected: Mapping[str, Times] = summary.ping_times
    format_ = SONAR_MODELS[summary.sonar_model].format.name
    if format_ in {"EK60", "EK80"}:
        read = _simrad_times(echodata)
        expected = _with_both_kinds(summary)
    elif format_ == "AD2CP":
        groups = [group["ping_time"].values for group in beam_groups(echodata).values()]
        more = (f"beam group {n + 1}" for n in range(len(expected), len(groups)))
        read = dict(zip([*expected, *more], groups, strict=False))
    else:
        times = echodata["Sonar/Beam_group1"]["ping_time"].values
        channels = echodata["Sonar/Beam_group1"].sizes["channel"]
        if channels != len(summary.ping_times):
            cause = f"echopype read {channels} channels of {len(summary.ping_times)} in the file"
            raise OutputMismatch(summary.file, cause)
        read = dict.fromkeys(summary.ping_times, times)
    wrong = [
        sentence
        for channel in sorted(set(expected) | set(read))
        if (sentence := _difference(channel, expected.get(channel), read.get(channel)))
    ]
    if wrong:
        raise OutputMismatch(summary.file, "; ".join(wrong))


def _with_both_kinds(summary: FileSummary) -> dict[str, Times]:
    """The times of each channel; twice those of pings with power and complex samples.

    These pings are in two beam groups.
    """
    expected = dict(summary.ping_times)
    index = summary.samples
    if index is not None:
        both = (index.sectors > 0) & index.has_power
        for number in np.unique(index.channel[both]).tolist():
            name = index.names[number]
            again = index.times[both & (index.channel == number)]
            expected[name] = np.concatenate([expected[name], again])
    return expected


def beam_groups(echodata: Any) -> dict[str, xr.Dataset]:  # noqa: ANN401 - see above
    """Path -> Dataset of each Beam group."""
    paths = [f"Sonar/{name}" for name in echodata["Sonar"]["beam_group"].values]
    return {path: echodata[path] for path in paths}


def has_ping(group: xr.Dataset) -> NDArray[np.bool_]:
    """Whether a channel has a ping at a time of a Beam group, by channel and ping time."""
    interval = group["sample_interval"].transpose("channel", "ping_time").values
    return np.asarray(~np.isnan(interval))


def _simrad_times(echodata: Any) -> dict[str, Times]:  # noqa: ANN401 - see above
    read: dict[str, list[Times]] = {}
    for group in beam_groups(echodata).values():
        times = group["ping_time"].values
        for channel, present in zip(group["channel"].values, has_ping(group), strict=True):
            read.setdefault(str(channel), []).append(times[present])
    return {channel: np.concatenate(parts) for channel, parts in read.items()}


def _difference(channel: str, in_file: Times | None, read: Times | None) -> str | None:
    expected = 0 if in_file is None else in_file.size
    found = 0 if read is None else read.size
    if expected != found:
        return f"echopype read {found} of {expected} pings of {channel}"
    if in_file is None or read is None:
        return None
    if not np.array_equal(np.sort(in_file), np.sort(read), equal_nan=True):
        return f"echopype read other ping times of {channel} than the file has"
    return None

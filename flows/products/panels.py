"""The panels of an output: each channel of each beam group, with its pings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Times = NDArray[np.datetime64]

#: What the samples of a beam group are: of Simrad in echopype's words, counts of an AZFP.
Encoding = Literal["power", "complex_CW", "complex_FM", "counts"]

# `channel_mode` of RAW0 and of the Parameter XML: 0 active, 1 passive.
_PASSIVE = 1
_PULSE = ("transmit_duration_nominal", "transmit_power")
_SWEEP = ("transmit_frequency_start", "transmit_frequency_stop")


@dataclass(frozen=True, eq=False)
class Panel:
    """One channel as one kind of pulse.

    Attributes:
        group: path of the beam group.
        channel: its number in the group.
        channel_id: its name in the file.
        frequency: nominal, in Hz.
        encoding: what its samples are.
        pings: the numbers of its pings in the group, ascending (n).
        times: datetime64[ns] of these pings (n).
        passive: whether the ping was only listening (n).
        pulse: pulse as a reader would write it, such as `CW 1.024 ms, 2000 W`.
    """

    group: str
    channel: int
    channel_id: str
    frequency: float
    encoding: Encoding
    pings: Ints
    times: Times
    passive: Bools
    pulse: str

    @property
    def label(self) -> str:
        """The frequency, and FM if it is one."""
        return f"{self.frequency / 1000:g} kHz" + (" FM" if self.encoding == "complex_FM" else "")


def panels_of(echodata: Any) -> list[Panel]:  # noqa: ANN401 - echopype ships no types
    """The panels in order of frequency. A channel that never pinged has one, without pings."""
    found = list(_all_panels(echodata))
    pinged = {panel.channel_id for panel in found if panel.pings.size}
    empty = {panel.channel_id: panel for panel in found if panel.channel_id not in pinged}
    kept = [panel for panel in found if panel.pings.size] + list(empty.values())
    return sorted(kept, key=lambda panel: (panel.frequency, panel.channel_id, panel.encoding))


def _all_panels(echodata: Any) -> Iterator[Panel]:  # noqa: ANN401 - as above
    groups = sorted(path for path in echodata.group_paths if path.startswith("Sonar/Beam_group"))
    for number, group in enumerate(groups):
        beam = echodata[group]
        if "backscatter_r" not in beam or "channel" not in beam.dims:
            continue
        encoding = _encoding(echodata, number, beam)
        small = beam.drop_dims("range_sample")
        for channel in range(beam.sizes["channel"]):
            one = small.isel(channel=channel)
            pings = np.flatnonzero(_has_pinged(one))
            modes = _by_ping(one, "channel_mode")
            yield Panel(
                group=group,
                channel=channel,
                channel_id=str(one["channel"].item()),
                frequency=float(one["frequency_nominal"]),
                encoding=encoding,
                pings=pings,
                times=one["ping_time"].values[pings],
                passive=modes[pings] == _PASSIVE,
                pulse=_pulse(one, encoding, pings),
            )


def _encoding(echodata: Any, number: int, beam: Any) -> Encoding:  # noqa: ANN401 - as above
    if echodata.sonar_model.startswith("AZFP"):
        return "counts"
    sonar = echodata["Sonar"]
    if "waveform_encode_descr" in sonar:
        named: Encoding = str(sonar["waveform_encode_descr"].values[number])  # type: ignore[assignment] # its three words
        return named
    return "complex_CW" if "backscatter_i" in beam else "power"


def _has_pinged(one: Any) -> Bools:  # noqa: ANN401 - xarray's datasets of one channel
    """Channels that ping in turn have fill values at the others' pings."""
    known = np.zeros(one.sizes["ping_time"], dtype=bool)
    for name in ("sample_interval", "transmit_duration_nominal"):
        if name in one and one[name].dims == ("ping_time",):
            known |= np.isfinite(one[name].values)
        elif name in one:
            known |= True
    return known


def _by_ping(one: Any, name: str) -> Floats:  # noqa: ANN401 - as above
    values = one[name].values.astype(np.float64) if name in one else np.nan
    return np.broadcast_to(values, one.sizes["ping_time"])


def _pulse(one: Any, encoding: Encoding, pings: Ints) -> str:  # noqa: ANN401 - as above
    duration, power = (_several(_by_ping(one, name)[pings]) for name in _PULSE)
    start, stop = (_several(_by_ping(one, name)[pings] / 1000) for name in _SWEEP)
    kind = f"FM {start} to {stop} kHz" if encoding == "complex_FM" else "CW"
    if duration:
        kind += f" {_several(_by_ping(one, _PULSE[0])[pings] * 1000)} ms"
    return kind + (f", {power} W" if power else "")


def _several(values: Floats) -> str:
    """The distinct values, or from the smallest to the largest if there are many."""
    distinct = [f"{value:.4g}" for value in np.unique(values[np.isfinite(values)])]
    return "/".join(distinct) if len(distinct) <= 3 else f"{distinct[0]} to {distinct[-1]}"

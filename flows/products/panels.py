"""Prepares the panels of an echogram: one panel per channel, thinned to fit the picture."""

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

_MAX_PANELS = 4
_MAX_PINGS = 1200
_MAX_RANGES = 800
#: Most samples to calibrate, over all channels, pings and beams: limits memory to about 1.5 GB.
_MAX_SAMPLES = 12_000_000
_BEAM_GROUP = "Sonar/Beam_group1"
_SV_LABEL = "Sv (dB re 1 m⁻¹)"
_SV_LIMITS = (-90.0, -30.0)
# An AZFP does not measure these. Values of shelf water are good enough for a picture.
_AZFP_WATER = {"salinity": 35.0, "pressure": 50.0}
#: One count of a Nortek amplitude in dB.
_NORTEK_COUNT_DB = 0.5


@dataclass(frozen=True, slots=True)
class DrawnPanel:
    """One channel or beam: ``times`` (pings,), ``ranges`` (samples,), ``decibels`` of both.

    Ranges are metres, or sample numbers if ``in_metres`` is False.
    """

    title: str
    times: npt.NDArray[np.datetime64]
    ranges: npt.NDArray[np.float64]
    decibels: npt.NDArray[np.float64]
    in_metres: bool = True


@dataclass(frozen=True, slots=True)
class EchogramPicture:
    """The panels, the quantity of the colours, and the limits of the colour scale."""

    panels: list[DrawnPanel]
    quantity: str
    limits: tuple[float, float]


def picture_of(echodata: Any) -> EchogramPicture:  # noqa: ANN401 - echopype ships no types
    """Return the panels of an echopype EchoData: Sv if echopype can calibrate, else raw samples.

    ``echodata`` is thinned in place.
    """
    _thin(echodata)
    if echodata.sonar_model == "AD2CP":
        return _nortek_picture(echodata[_BEAM_GROUP])
    try:
        calibrated = _volume_backscatter(echodata)
    except Exception as error:  # noqa: BLE001 - echopype raises many types, and raw samples can still be drawn
        logger.warning(
            "cannot compute Sv, drawing raw samples: %s: %s", type(error).__name__, error
        )
        return _raw_picture(echodata[_BEAM_GROUP])
    panels = [
        _panel(
            _frequency_title(channel),
            channel.ping_time.values,
            channel.echo_range.values,
            channel.Sv.values,
        )
        for channel in _channels(calibrated)
    ]
    return EchogramPicture(panels, _SV_LABEL, _SV_LIMITS)


def _thin(echodata: Any) -> None:  # noqa: ANN401 - echopype ships no types
    """Keep every n-th ping to limit memory."""
    for group in [path for path in echodata.group_paths if path.startswith("Sonar/Beam_group")]:
        beam = echodata[group]
        pings = beam.sizes["ping_time"]
        samples = math.prod(beam.sizes.get(d, 1) for d in ("channel", "beam", "range_sample"))
        step = max(math.ceil(pings / _MAX_PINGS), math.ceil(pings * samples / _MAX_SAMPLES))
        # Channels may ping in turn: a step that shares a factor with the number of
        # channels would miss some of them.
        while step > 1 and math.gcd(step, beam.sizes.get("channel", 1)) > 1:
            step += 1
        echodata[group] = beam.isel(ping_time=slice(None, None, step))


def _volume_backscatter(echodata: Any) -> Any:  # noqa: ANN401 - echopype ships no types
    """Calibrate with echopype in the mode the samples were recorded in."""
    # The import takes seconds.
    from echopype.calibrate import compute_Sv  # noqa: PLC0415

    if echodata.sonar_model.startswith("AZFP"):
        return compute_Sv(echodata, env_params=_AZFP_WATER)
    if echodata.sonar_model in {"EK60", "ES70"}:
        return compute_Sv(echodata)
    beam = echodata[_BEAM_GROUP]
    swept = not {"CW", "nan"}.issuperset(np.unique(beam["transmit_type"].values.astype(str)))
    return compute_Sv(
        echodata,
        waveform_mode="BB" if swept else "CW",
        encode_mode="complex" if "backscatter_i" in beam else "power",
    )


def _raw_picture(beam: Any) -> EchogramPicture:  # noqa: ANN401 - echopype ships no types
    """Return panels of the recorded samples over the sample number."""
    panels = []
    for channel in _channels(beam):
        values = channel.backscatter_r.values
        if "backscatter_i" in channel:
            size = np.hypot(values, channel.backscatter_i.values).mean(axis=-1)
            values = 20 * np.log10(np.where(size > 0, size, np.nan))
        numbers = channel.range_sample.values.astype(float)
        panel = _panel(_frequency_title(channel), channel.ping_time.values, numbers, values)
        panels.append(replace(panel, in_metres=False))
    return EchogramPicture(panels, "recorded level (dB)", _percentiles(panels))


def _nortek_picture(beam: Any) -> EchogramPicture:  # noqa: ANN401 - echopype ships no types
    """Return panels of an AD2CP's echo amplitude, one per beam."""
    panels = []
    for number in range(min(beam.sizes["beam"], _MAX_PANELS)):
        one = beam.isel(beam=number)
        cells = np.arange(one.sizes["range_sample"]) + 1
        distance = one.blanking.values[:, None] + one.cell_size.values[:, None] * cells
        amplitude = one.amplitude.transpose("ping_time", "range_sample").values
        title = f"beam {one.beam.item()}"
        panels.append(_panel(title, one.ping_time.values, distance, amplitude * _NORTEK_COUNT_DB))
    return EchogramPicture(panels, "echo amplitude (dB)", _percentiles(panels))


def _channels(dataset: Any) -> list[Any]:  # noqa: ANN401 - echopype ships no types
    """Split into channels, in order of frequency, at most _MAX_PANELS."""
    order = np.argsort(dataset["frequency_nominal"].values, kind="stable")[:_MAX_PANELS]
    return [dataset.isel(channel=int(number)) for number in order]


def _frequency_title(channel: Any) -> str:  # noqa: ANN401 - echopype ships no types
    return f"{float(channel['frequency_nominal']) / 1000:g} kHz"


def _panel(
    title: str,
    times: npt.NDArray[np.datetime64],
    ranges: npt.NDArray[np.float64],
    decibels: npt.NDArray[np.float64],
) -> DrawnPanel:
    """Drop empty pings and ranges, and average neighbouring ranges until they fit the picture.

    ``ranges`` may have a row for each ping; the row with the farthest range is used.
    Channels that ping in turn have empty pings.
    """
    decibels = np.where(np.isfinite(decibels), decibels, np.nan)
    pinged = np.isfinite(decibels).any(axis=1)
    decibels, times = decibels[pinged], times[pinged]
    if ranges.ndim == 2:
        rows = ranges[pinged]
        farthest = np.nan_to_num(rows, nan=-1.0).max(axis=1, initial=-1.0)
        ranges = rows[farthest.argmax()] if len(rows) else ranges[0]
    known = np.isfinite(ranges) & np.isfinite(decibels).any(axis=0)
    decibels, ranges = decibels[:, known], ranges[known]
    fold = math.ceil(ranges.size / _MAX_RANGES)
    if fold > 1:
        whole = ranges.size // fold * fold
        linear = (10 ** (decibels[:, :whole] / 10)).reshape(len(times), -1, fold)
        counts = np.isfinite(linear).sum(axis=2)
        mean = np.nansum(linear, axis=2) / np.where(counts, counts, np.nan)
        decibels = 10 * np.log10(np.where(mean > 0, mean, np.nan))
        ranges = ranges[:whole].reshape(-1, fold).mean(axis=1)
    return DrawnPanel(title, times, ranges, decibels)


def _percentiles(panels: list[DrawnPanel]) -> tuple[float, float]:
    """Return limits that a few outliers do not affect, or (0, 1) if there are no samples."""
    values = np.concatenate([p.decibels[np.isfinite(p.decibels)] for p in panels])
    if values.size == 0:
        return (0.0, 1.0)
    low, high = np.percentile(values, (2, 98))
    return (float(low), float(max(high, low + 1)))

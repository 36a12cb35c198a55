"""The quality facts that an EchoData shows: settings of the pings, positions, calibration.

Only small variables are read: samples stay in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flows.publishing.contents import groups_of, positions_of
from flows.publishing.recording.quality import QualityFact, changed, passive_share, unpositioned
from flows.walk.summary import FileSummary
from sonar_models import SONAR_MODELS

if TYPE_CHECKING:
    import xarray as xr
    from echopype.echodata import EchoData

# `channel_mode` of RAW0 and of the Parameter XML: 0 active, 1 passive.
_PASSIVE = 1
_SETTINGS = (
    ("power_changes", "the transmit power", "transmit_power"),
    ("pulse_length_changes", "the pulse length", "transmit_duration_nominal"),
)
_BY_PING = ("channel", "ping_time")


def recording_facts(echodata: EchoData, summary: FileSummary) -> list[QualityFact]:
    """The facts that need the parsed file; `summary` is that of its walk."""
    groups = groups_of(echodata)
    beams = [
        group
        for name, group in groups.items()
        if name.startswith("Sonar/Beam_group") and {"channel", "ping_time"} <= set(group.dims)
    ]
    passive = _by_channel(beams, "channel_mode")
    is_passive = {channel: modes == _PASSIVE for channel, modes in passive.items()}
    facts: list[QualityFact | None] = [
        passive_share({c: is_passive[c][~np.isnan(modes)] for c, modes in passive.items()})
    ]
    for name, what, variable in _SETTINGS:
        values = _by_channel(beams, variable)
        if values:
            none = {channel: np.zeros(each.shape, bool) for channel, each in values.items()}
            facts.append(changed(name, what, values, {**none, **is_passive}))
    facts.append(_positions(groups.get("Platform"), summary))
    facts.append(_calibration(groups.get("Vendor_specific")))
    return [fact for fact in facts if fact is not None]


def _by_channel(beams: list[xr.Dataset], name: str) -> dict[str, NDArray[np.float64]]:
    """A variable's values by channel, for each ping of its group; NaN where it has no ping."""
    found: dict[str, NDArray[np.float64]] = {}
    for number, group in enumerate(beams):
        if name not in group or set(group[name].dims) != set(_BY_PING):
            continue
        values = group[name].transpose(*_BY_PING).values.astype(np.float64)
        for row, channel in enumerate(map(str, group["channel"].values)):
            key = channel if channel not in found else f"{channel} (group {number + 1})"
            found[key] = values[row]
    return found


def _positions(platform: xr.Dataset | None, summary: FileSummary) -> QualityFact | None:
    positions = positions_of(platform)
    nothing: Any = np.empty(0, dtype="datetime64[ns]")
    fixes = positions.times[positions.track.good] if positions else nothing
    times = [times for times in summary.ping_times.values() if times.size]
    pings = np.concatenate(times) if times else nothing
    # Moored instruments and gliders record no positions.
    expected = SONAR_MODELS[summary.sonar_model].format.name in {"EK60", "EK80"}
    return unpositioned(pings, fixes, expected=expected)


def _calibration(vendor: xr.Dataset | None) -> QualityFact | None:
    """How many channels have the maker's default calibration; None if the format has none."""
    if vendor is None or "sa_correction" not in vendor:
        return None
    table = vendor["sa_correction"].transpose("channel", ...).values
    measured = set(map(str, vendor["cal_channel_id"].values)) if "cal_channel_id" in vendor else {}
    default = tuple(
        channel
        for channel, row in zip(map(str, vendor["channel"].values), table, strict=True)
        if channel not in measured and not np.nan_to_num(row).any()
    )
    sentence = (
        f"{len(default)} of {len(table)} channels have neither an Sa correction nor gains by "
        "frequency: their calibration is the maker's default"
        if default
        else "all channels have a calibration"
    )
    return QualityFact("default_calibration", len(default), None, sentence, default)

"""Facts about the quality of a recording: unusual values that change no outcome.

Pure: times, counts and small variables in, facts out. Each fact has its value, its
threshold and a sentence; a value above the threshold is an alarm. A fact without a threshold
is information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.counted import counted
from flows.publishing.recording.name_times import time_in_name
from flows.walk.summary import FileSummary, Times

# A gap is longer than this many median intervals of its channel: real files have pauses of five.
GAP_INTERVALS = 10.0
# Gaps that differ by less than this factor are the pauses of a schedule of bursts, if there are
# three or more of them; instruments that record in bursts by themselves need one.
_BURST_SPREAD, _BURSTS = 1.5, 3
_IN_BURSTS = ("AZFP", "AZFP6", "AD2CP")
# Seconds between the name's time and the first ping: local times differ from UTC by up to 14 hours.
CLOCK_SECONDS = 86_400.0
# Seconds between pings and the nearest good fix.
UNPOSITIONED_SECONDS = 300.0
_PING_TYPES = ("RAW0", "RAW3", "ping")
_SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class QualityFact:
    """One fact.

    Attributes:
        name: for machines.
        threshold: the largest value that is not an alarm; None for information.
        sentence: for people.
        channels: the channels that it applies to; empty for the whole file.
    """

    name: str
    value: float
    threshold: float | None
    sentence: str
    channels: tuple[str, ...] = ()

    @property
    def is_alarm(self) -> bool:
        """Whether the value is above the threshold."""
        return self.threshold is not None and self.value > self.threshold

    def as_json(self) -> dict[str, Any]:
        """The manifest's entry."""
        fields = asdict(self)
        return {**fields, "channels": list(self.channels), "alarm": self.is_alarm}


def alarms(facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sentences of the alarms among a manifest's facts."""
    return [str(fact["sentence"]) for fact in facts if fact["alarm"]]


def walk_facts(summary: FileSummary, *, name: str, lost: int = 0) -> list[QualityFact]:
    """The facts that the walk over the datagrams shows.

    `name` is the file's own, which may have a time; `lost` counts pings that only a sidecar shows
    to be lost.
    """
    times = {
        channel: known
        for channel, values in summary.ping_times.items()
        if (known := values[~np.isnat(values)]).size
    }
    facts = [
        _clock_backwards(times),
        _gaps(times, 1 if summary.found in _IN_BURSTS else _BURSTS),
        _lost(summary, lost),
        _duplicates(summary),
        _clock_and_name(times, name),
    ]
    return [fact for fact in facts if fact is not None]


def _clock_backwards(times: Mapping[str, Times]) -> QualityFact:
    steps = {channel: np.diff(each) for channel, each in times.items()}
    back = {c: d[d < np.timedelta64(0)] for c, d in steps.items() if (d < np.timedelta64(0)).any()}
    most = max((each.size for each in back.values()), default=0)
    worst = max((float(-each.min() / _SECOND) for each in back.values()), default=0.0)
    sentence = (
        f"the clock goes back {counted(most, 'time')}, by up to {worst:.3f} s"
        if most
        else "the clock goes on"
    )
    return QualityFact("clock_backwards", most, 0, sentence, tuple(sorted(back)))


def _gaps(times: Mapping[str, Times], bursts: int) -> QualityFact | None:
    """The longest gap in median intervals of its channel; None if no channel has three pings.

    `bursts` gaps of about one length are a schedule.
    """
    found: dict[str, tuple[float, float, int]] = {}
    for channel, each in times.items():
        intervals = np.diff(each) / _SECOND
        intervals = intervals[intervals > 0]
        if intervals.size < 2:
            continue
        median = float(np.median(intervals))
        gaps = intervals[intervals > GAP_INTERVALS * median]
        is_schedule = gaps.size >= bursts and gaps.max() < _BURST_SPREAD * gaps.min()
        longest = float(median if is_schedule else intervals.max())
        found[channel] = (longest / median, longest, 0 if is_schedule else int(gaps.size))
    if not found:
        return None
    ratio, longest, _ = max(found.values())
    number = max(gaps for _, _, gaps in found.values())
    channels = tuple(sorted(channel for channel, (_, _, gaps) in found.items() if gaps))
    sentence = (
        f"{counted(number, 'gap')} between pings, up to {longest:.1f} s, "
        f"{ratio:.0f} times the median interval of the channel"
        if number
        else "the ping rate has no gaps"
    )
    return QualityFact("ping_gap", round(ratio, 3), GAP_INTERVALS, sentence, channels)


def _lost(summary: FileSummary, lost: int) -> QualityFact:
    refused = sum(summary.refused[type_].count for type_ in _PING_TYPES if type_ in summary.refused)
    # A ping without parameters may be among the refused ones.
    number = max(summary.pings_unusable, refused) + lost
    # A damaged place has lost at least a part of one datagram.
    value = max(number, len(summary.damages))
    sentence = (
        f"{counted(number, 'ping')} known to be lost, "
        f"and {counted(len(summary.damages), 'damaged place')}"
        if value
        else "no pings are lost"
    )
    return QualityFact("lost_pings", value, 0, sentence)


def _duplicates(summary: FileSummary) -> QualityFact:
    """Pings of one channel with a time that another of its pings has."""
    twice = {
        channel: extra
        for channel, times in summary.ping_times.items()
        if (extra := max(summary.pings.get(channel, 0), times.size) - np.unique(times).size) > 0
    }
    number = sum(twice.values())
    sentence = (
        f"{counted(number, 'ping')} with the time of another"
        if number
        else "no ping is recorded twice"
    )
    return QualityFact("duplicate_pings", number, 0, sentence, tuple(sorted(twice)))


def _clock_and_name(times: Mapping[str, Times], name: str) -> QualityFact | None:
    """How far the clock is from the time in the file's name; None without one."""
    said = time_in_name(name)
    if said is None or not times:
        return None
    first = min(each.min() for each in times.values())
    last = max(each.max() for each in times.values())
    inside = first <= said <= last
    seconds = 0.0 if inside else float(min(abs(first - said), abs(last - said)) / _SECOND)
    sentence = f"the pings are {seconds / 3600:.1f} hours from the time in the file's name ({said})"
    return QualityFact("clock_from_name", seconds, CLOCK_SECONDS, sentence)


def changed(
    name: str, what: str, values: Mapping[str, NDArray[np.float64]], passive: Mapping[str, Any]
) -> QualityFact:
    """How often a setting changes in mid-file, where the channel does not alternate.

    Args:
        name: name of the fact.
        what: the setting in words.
        values: by channel, a value for each ping in order; NaN is no value.
        passive: by channel, which pings are passive (bool, same shape); they are left out.

    A channel that changes between two settings at more than a tenth of its pings follows a
    sequence of pings.
    """
    changes: dict[str, int] = {}
    for channel, each in values.items():
        known = each[~np.isnan(each) & ~passive[channel]]
        number = int(np.count_nonzero(np.diff(known)))
        if number and (number < 3 or number * 10 <= known.size):
            changes[channel] = number
    most = max(changes.values(), default=0)
    sentence = f"{what} changes {counted(most, 'time')}" if most else f"{what} does not change"
    return QualityFact(name, most, 0, sentence, tuple(sorted(changes)))


def passive_share(passive: Mapping[str, NDArray[np.bool_]]) -> QualityFact | None:
    """The largest share of passive pings of a channel; None without pings."""
    shares = {channel: float(each.mean()) for channel, each in passive.items() if each.size}
    if not shares:
        return None
    most = max(shares.values())
    listed = tuple(sorted(channel for channel, share in shares.items() if share))
    sentence = (
        f"up to {most:.1%} of a channel's pings are passive" if most else "no ping is passive"
    )
    return QualityFact("passive_share", round(most, 6), 0, sentence, listed)


def unpositioned(pings: Times, fixes: Times, *, expected: bool) -> QualityFact | None:
    """The longest time between a ping and its nearest good fix, in seconds.

    Args:
        pings: datetime64[ns].
        fixes: times of the good fixes, datetime64[ns].
        expected: whether this sounder records positions.

    Returns:
        None without pings; without fixes the length of the recording, as an alarm if
        positions are expected.
    """
    pings, fixes = (np.sort(each[~np.isnat(each)]) for each in (pings, fixes))
    if not pings.size:
        return None
    if not fixes.size:
        length = float((pings[-1] - pings[0]) / _SECOND)
        threshold = -1.0 if expected else None
        return QualityFact("unpositioned", length, threshold, "the file has no positions")
    after = np.searchsorted(fixes, pings)
    later = np.abs(fixes[np.minimum(after, fixes.size - 1)] - pings)
    earlier = np.abs(pings - fixes[np.maximum(after - 1, 0)])
    seconds = float(np.minimum(later, earlier).max() / _SECOND)
    sentence = f"pings are up to {seconds:.0f} s from the nearest position"
    return QualityFact("unpositioned", round(seconds, 3), UNPOSITIONED_SECONDS, sentence)

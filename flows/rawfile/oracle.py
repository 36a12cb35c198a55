"""Compares a few pings of a file, sample by sample, with echopype's result.

The first, the last, the widest and some random pings of each channel and kind are
written to a small file, after the configuration of the raw file. echopype's samples
must be equal to those that `flows.rawfile.samples` reads.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.rawfile.parsed_pings import beam_groups, has_ping
from flows.rawfile.reading import datagrams_in, parameters_before, read_exactly
from flows.rawfile.repairs.pings import Cut
from flows.rawfile.repairs.repairer import Repairer
from flows.rawfile.samples import PingSamples
from flows.rawfile.skeleton import cuts_of
from flows.rawfile.streamed import RawSamples
from flows.walk.sample_index import Int64s
from flows.walk.simrad.ek80 import EK80Walk

_RANDOM_PINGS = 2
# Datagrams that a ping's samples are parsed with, besides its own parameters. Filters (FIL) are not
# needed: echopype does not apply them, and takes longer to store them than the pings.
_CONFIGURING = (b"CON", b"XML")

_ticks = struct.Struct("<Q").unpack

# Time of a ping (ns) in the raw file, by its channel and its time in the file of chosen pings.
OwnTimes: TypeAlias = dict[tuple[str, int], int]


def chosen_pings(samples: RawSamples, *, seed: int | None = None) -> Int64s:
    """Rows of the pings to compare, in file order.

    Pings that share channel and time with another are not chosen: echopype keeps one of
        them, and in the small file it may be another one.
    """
    index = samples.pings
    chooser = random.Random(seed)  # noqa: S311 - not used for security
    chosen: set[int] = set()
    keys = np.stack([index.channel, index.times.astype(np.int64)])
    _, place, counts = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    alone = counts[place.reshape(-1)] == 1
    for channel, kind in sorted(set(zip(index.channel.tolist(), index.kind.tolist(), strict=True))):
        rows = np.flatnonzero((index.channel == channel) & (index.kind == kind) & alone)
        if not rows.size:
            continue
        chosen |= {int(rows[0]), int(rows[-1]), int(rows[index.count[rows].argmax()])}
        chosen |= set(chooser.sample(rows.tolist(), min(_RANDOM_PINGS, rows.size)))
    return np.array(sorted(chosen), dtype=np.int64)


def write_chosen(
    target: Path, samples: RawSamples, start: int, rows: Int64s, repairer: Repairer
) -> OwnTimes:
    """Write a raw file with only these pings and the configuration that they need.

    Its channels ping at the same times, so that echopype pads none to the times of others.
    `start` is the offset of the part of the raw file that is converted, `rows` are the pings in
    file order. OSError: a file cannot be read or written.
    """
    shifts, own_times = _shared_times(samples, rows)
    with target.open("wb") as file:
        items = _chosen_datagrams(samples, start, shifts)
        for datagram in repairer.repaired(samples.fd, items):
            file.write(datagram)
    return own_times


def _shared_times(samples: RawSamples, rows: Int64s) -> tuple[dict[int, int], OwnTimes]:
    """The ticks to add to the time of each of these pings, by row, and their own times."""
    index = samples.pings
    ticks = {
        row: _ticks(read_exactly(samples.fd, 8, int(index.offset[row]) + 8))[0] for row in rows
    }
    if index.shift.size:
        ticks = {row: each + int(index.shift[row]) for row, each in ticks.items()}
    of_channels = [rows[index.channel[rows] == number] for number in range(len(index.names))]
    leaders = max(of_channels, key=len)
    shifts, own_times = dict.fromkeys(rows.tolist(), 0), OwnTimes()
    for name, own in zip(index.names, of_channels, strict=True):
        for row, leader in zip(own.tolist(), leaders.tolist(), strict=False):
            shifts[row] = ticks[leader] - ticks[row]
            own_times[name, int(index.times[leader].astype(int))] = int(
                index.times[row].astype(int)
            )
    return shifts, own_times


def _chosen_datagrams(
    samples: RawSamples, start: int, shifts: Mapping[int, int]
) -> Iterator[bytes | Cut]:
    fd = samples.fd
    pings, pulses = samples.pings, samples.pulses
    starts = np.sort(np.concatenate([pings.offset, pulses.offset]))
    head = read_exactly(fd, int(starts[0]) - start, start)
    for item in datagrams_in(head):
        if item[4:7] in _CONFIGURING:
            yield item
    has_parameters = pings.header == EK80Walk.header
    cuts = cuts_of(pings, np.maximum(pings.count, 1), pulses)
    of_pulses = {cut.offset: cut for cut in cuts_of(pulses, np.maximum(pulses.count, 1))}
    for row, shift in shifts.items():
        offset, pulse = int(pings.offset[row]), int(pings.transmit[row])
        if has_parameters:
            first = min(x for x in (pulse, offset) if x >= 0)
            channel = pings.names[int(pings.channel[row])]
            if parameters := parameters_before(fd, first, channel, start):
                yield parameters
        if pulse >= 0:
            yield of_pulses[pulse]
        yield cuts[row]._replace(shift=cuts[row].shift + shift)


def compare_chosen(ours: Any, theirs: Any, own_times: OwnTimes) -> tuple[int, int, list[str]]:  # noqa: ANN401 - echopype ships no types
    """Compare the pings that are in both EchoData: ours, and echopype's of the file of chosen pings.

    Returns how many pings and samples were compared, and a sentence for each difference.
    """
    places: dict[tuple[bool, str, int | None], list[tuple[str, int, int]]] = {}
    sampled: dict[str, dict[str, PingSamples]] = {}
    for path, group in beam_groups(ours).items():
        sampled[path] = {
            str(name): variable.data
            for name, variable in group.variables.items()
            if isinstance(variable.data, PingSamples)
        }
        for channel, time, c, p in _pings(group):
            places.setdefault(("backscatter_i" in group, channel, time), []).append((path, c, p))
    pings = samples = 0
    differences: list[str] = []
    for group in beam_groups(theirs).values():
        read = {str(name): variable.values for name, variable in group.variables.items()}
        for channel, shared, c, p in _pings(group):
            own = own_times.get((channel, shared))
            found = places.get(("backscatter_i" in group, channel, own), [])
            if len(found) != 1:
                continue
            path, our_c, our_p = found[0]
            pings += 1
            for name, data in sampled[path].items():
                # In the file for echopype, other samples and sectors are zeros
                # (`flows.rawfile.repairs.pings`).
                sectors = data.sectors_of(our_c, our_p)
                if not sectors:
                    continue
                own_sectors = (slice(None), slice(sectors))[: data.ndim - 2]
                mine = data[our_c : our_c + 1, our_p : our_p + 1][0, 0][own_sectors]
                samples += mine.size
                echopypes = read[name][c, p][own_sectors] if name in read else np.empty(0)
                wrong = _differing(mine, echopypes, zero_is_nan=name.endswith("_i"))
                if wrong:
                    at = np.datetime64(own, "ns")
                    differences.append(
                        f"{wrong} samples of {name} of channel {channel} at {at} ({path}) differ "
                        "from what echopype reads"
                    )
    return pings, samples, differences


def _differing(ours: NDArray[Any], theirs: NDArray[Any], *, zero_is_nan: bool) -> int:
    """How many samples differ; samples missing at the end of one side must be NaN on the other.

    zero_is_nan: echopype turns an imaginary part of exactly 0 into NaN.
    """
    shape = tuple(max(a, b) for a, b in zip(ours.shape, theirs.shape or ours.shape, strict=False))
    sides = []
    for values in (ours, theirs):
        padded = np.full(shape, np.nan)
        if values.size:
            padded[tuple(map(slice, values.shape))] = values
        sides.append(padded)
    mine, echopypes = sides
    same = (mine == echopypes) | (np.isnan(mine) & np.isnan(echopypes))
    if zero_is_nan:
        same |= (mine == 0) & np.isnan(echopypes)
    return int(np.count_nonzero(~same))


def _pings(group: xr.Dataset) -> Iterator[tuple[str, int, int, int]]:
    """Channel, time and indices of each ping of a group."""
    present = has_ping(group)
    times = group["ping_time"].values.astype(np.int64).tolist()
    channels = list(map(str, group["channel"].values))
    for c, p in zip(*map(np.ndarray.tolist, np.nonzero(present)), strict=True):
        yield channels[c], times[p], c, p

"""Grows a Simrad raw file to a size: benchmarks and tests of memory need valid files of any size.

docs/data-formats.md says what a grown file keeps and changes.
"""

import math
import re
from pathlib import Path

import numpy as np

from flows.walk.simrad.framing import Datagram, datagrams

#: Assumed ping interval of a file with one ping: 1 s, in 100 ns.
_SINGLE_PING_INTERVAL = 10_000_000
#: Types with the samples of one ping of one channel.
_SAMPLE_TYPES = frozenset({b"RAW0", b"RAW3"})
_CONFIGURING_XML = frozenset({b"Configuration", b"InitialParameter", b"Environment", b"Sensor"})
_XML_ROOT = re.compile(rb"<([A-Za-z_]\w*)")
#: Bytes from a datagram's start to its time.
_TIME_OFFSET = 8


def grow(source: Path, target: Path, wanted_bytes: int) -> int:
    """Write `source` to `target`, repeating its pings until it has `wanted_bytes` or more.

    All pings are written at least once and equally often, and ping times strictly
    increase. Returns how often.

    Raises:
        ValueError: `source` is no whole Simrad raw file with pings, or is `target`.
    """
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: a file cannot be grown onto itself")
    content = np.fromfile(source, np.uint8)
    found = _whole(source, content.size)
    is_ping = [each.type in _SAMPLE_TYPES for each in found]
    if True not in is_ping:
        raise ValueError(f"{source}: the file has no pings to repeat")
    before = found[: is_ping.index(True)]
    start = max(each.end for each in before if _configures(each))
    block = [(each, ping) for each, ping in zip(found, is_ping, strict=True) if each.end > start]
    times = np.array([each.ticks for each, _ in block], np.int64)
    # The bytes of each time, counted from the block's start.
    places = np.array([each.offset - start + _TIME_OFFSET for each, _ in block])[:, None]
    ping_times = np.unique(times[[ping for _, ping in block]])
    gaps = np.sort(np.diff(ping_times))
    interval = gaps[(gaps.size - 1) // 2] if gaps.size else _SINGLE_PING_INTERVAL
    shift = ping_times[-1] - ping_times[0] + interval
    copies = max(1, math.ceil((wanted_bytes - start) / (content.size - start)))
    with target.open("wb") as out:
        out.write(content[:start].data)
        for copy in range(copies):
            later = content[start:].copy()
            shifted = (times + copy * shift).astype("<i8")
            later[places + np.arange(8)] = shifted.view(np.uint8).reshape(-1, 8)
            out.write(later.data)
    return copies


def _whole(source: Path, size: int) -> list[Datagram]:
    """All datagrams of a file without damage that begins with its configuration."""
    with source.open("rb") as file:
        found = list(datagrams(file.fileno(), size))
    whole = [each for each in found if isinstance(each, Datagram)]
    if len(whole) < max(1, len(found)) or not _configures(whole[0]):
        raise ValueError(f"{source}: not a whole Simrad raw file, from its configuration on")
    return whole


def _configures(datagram: Datagram) -> bool:
    """Whether a datagram is configuration: it describes the sounder or its environment."""
    if datagram.type == b"XML0":
        root = _XML_ROOT.search(datagram.head)
        return root is not None and root[1] in _CONFIGURING_XML
    return datagram.type[:3] in {b"CON", b"FIL"}

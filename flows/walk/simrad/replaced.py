"""Filters and Environments of EK80 files that the output lacks, because others take their place."""

from __future__ import annotations

import os
import struct
from collections.abc import Collection

from flows.walk.account import FILTER_OF_NO_CHANNEL, SAME_FILTER
from flows.walk.simrad.framing import Datagram

# The stages of filters that echopype stores: of the transceiver, and of pulse compression.
_STAGES = {1, 2}
# Bytes of a FIL1 before its number of coefficients.
_HEADER = 148

_int16 = struct.Struct("<h").unpack_from


class Filters:
    """The filters so far, by time in microseconds, stage and channel, as echopype has them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._known: dict[tuple[int, int, str], bytes] = {}

    def lost(self, item: Datagram, channel: str, configured: Collection[str]) -> str | None:
        """The account's name of a filter (FIL1) that the output lacks; None if it has it.

        `configured` are the channels of the configuration; empty if it has not come yet.
        """
        stage = _int16(item.head, 16)[0]
        if stage not in _STAGES:
            return f"FIL1 of stage {stage}"
        if configured and channel not in configured:
            return FILTER_OF_NO_CHANNEL
        values = os.pread(self._fd, item.end - 4 - item.offset - _HEADER, item.offset + _HEADER)
        key = item.ticks // 10, stage, channel
        return SAME_FILTER if self._known.setdefault(key, values) != values else None


class Environments:
    """The Environments that no ping follows."""

    def __init__(self) -> None:
        self._of_pings = b""
        self._waiting: list[tuple[Datagram, bytes]] = []

    def add(self, item: Datagram, body: bytes) -> None:
        """Take an Environment and its XML."""
        self._waiting.append((item, body))

    def ping(self) -> None:
        """Take a ping."""
        if self._waiting:
            self._of_pings = self._waiting[-1][1]
            self._waiting.clear()

    def without_ping(self) -> list[Datagram]:
        """Those after the last ping that differ from its own."""
        return [item for item, body in self._waiting if body != self._of_pings]

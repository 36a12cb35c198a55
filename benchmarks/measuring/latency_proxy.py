"""A TCP proxy that adds a round-trip time and counts HTTP requests."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_HOST = "127.0.0.1"
# A line of a request ends so, and hardly anything else; to search each byte of a body for the
# beginning of such a line would take half of the proxy's processor time.
_END = b" HTTP/1.1\r\n"
_REQUEST = re.compile(rb"(?:GET|PUT|POST|HEAD|DELETE) [^\r\n]{1,4096}\Z")
# A read may split a request line.
_TAIL_BYTES = 4200


@dataclass(frozen=True)
class LatencyProxy:
    """A running proxy; `count` is shared with its process."""

    port: int
    count: Any

    def requests(self) -> int:
        """HTTP requests since the previous call."""
        with self.count.get_lock():
            found, self.count.value = int(self.count.value), 0
        return found


@contextlib.contextmanager
def latency_proxy(upstream: int, round_trip: float) -> Iterator[LatencyProxy]:
    """A proxy in a separate process, so that it does not share the GIL with its clients.

    It is in front of the port `upstream`, and adds `round_trip` seconds to each request.
    """
    spawn = multiprocessing.get_context("spawn")
    count, port = spawn.Value("q", 0), spawn.SimpleQueue()
    process = spawn.Process(target=_run, args=(upstream, round_trip, count, port), daemon=True)
    process.start()
    try:
        yield LatencyProxy(port.get(), count)
    finally:
        process.terminate()
        process.join()


def _run(upstream: int, round_trip: float, count: Any, port: Any) -> None:  # noqa: ANN401 - shared
    def add(requests: int) -> None:
        with count.get_lock():
            count.value += requests

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        connecting: set[asyncio.Task[Any]] = set()

        def connected() -> _Forwarder:
            down, up = _Forwarder(round_trip / 2, _RequestCounter(add)), _Forwarder(round_trip / 2)
            down.peer, up.peer = up, down
            task = loop.create_task(loop.create_connection(lambda: up, _HOST, upstream))
            # The loop keeps no reference to a task.
            connecting.add(task)
            task.add_done_callback(connecting.discard)
            return down

        proxy = await loop.create_server(connected, _HOST, 0, backlog=512)
        port.put(proxy.sockets[0].getsockname()[1])
        await proxy.serve_forever()

    asyncio.run(serve())


class _RequestCounter:
    """Counts the request lines of one connection."""

    def __init__(self, add: Callable[[int], None]) -> None:
        self._add = add
        self._tail = b""

    def __call__(self, piece: bytes) -> None:
        text, begin = self._tail + piece, 0
        while (end := text.find(_END, begin)) >= 0:
            if _REQUEST.search(text, max(begin, end - _TAIL_BYTES), end):
                self._add(1)
            begin = end + len(_END)
        self._tail = text[max(begin, len(text) - _TAIL_BYTES) :]


class _Forwarder(asyncio.Protocol):
    """Forwards one side's bytes `delay` seconds after their arrival, however many are under way."""

    peer: _Forwarder
    transport: asyncio.Transport | None = None

    def __init__(self, delay: float, look: Callable[[bytes], None] = lambda _piece: None) -> None:
        self._delay = delay
        self._look = look
        # None is the end. Timers of the same moment may run in any order.
        self._under_way: deque[bytes | None] = deque()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - of the base class
        self.transport = transport
        if self.peer.transport is None:
            transport.pause_reading()
        else:
            self.peer.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._look(data)
        self._forward(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of the base class
        self._forward(None)

    def _forward(self, piece: bytes | None) -> None:
        self._under_way.append(piece)
        asyncio.get_running_loop().call_later(self._delay, self._deliver)

    def _deliver(self) -> None:
        piece, to = self._under_way.popleft(), self.peer.transport
        if to is not None and piece is not None:
            to.write(piece)
        elif to is not None:
            to.close()

"""A TCP proxy that adds a round-trip time and counts HTTP requests."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_HOST = "127.0.0.1"
_READ_BYTES = 256 * 1024
_REQUEST_LINE = re.compile(rb"(?:GET|PUT|POST|HEAD|DELETE) [^\r\n]{1,4096} HTTP/1\.1\r\n")
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
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(_HOST, upstream)
        tail = b""

        def look(piece: bytes) -> None:
            nonlocal tail
            text, end = tail + piece, 0
            for found in _REQUEST_LINE.finditer(text):
                end = found.end()
                with count.get_lock():
                    count.value += 1
            tail = text[max(end, len(text) - _TAIL_BYTES) :]

        await asyncio.gather(
            _forward(reader, up_writer, round_trip / 2, look),
            _forward(up_reader, writer, round_trip / 2, lambda _piece: None),
        )

    async def serve() -> None:
        proxy = await asyncio.start_server(connect, _HOST, 0, backlog=512)
        port.put(proxy.sockets[0].getsockname()[1])
        await proxy.serve_forever()

    asyncio.run(serve())


async def _forward(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    delay: float,
    look: Callable[[bytes], None],
) -> None:
    """Forward bytes `delay` seconds after their arrival, without limit on the bytes in transit."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(_READ_BYTES):
            look(piece)
            loop.call_later(delay, writer.write, piece)
    loop.call_later(delay, writer.close)

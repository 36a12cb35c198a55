"""A TCP proxy that adds a round-trip time and counts HTTP requests.

`python benchmarks/measuring/latency_proxy.py --upstream PORT --round-trip 0.03` prints the two
ports that it listens on: the proxy's, and one that answers each connection with the
number of requests since the previous connection.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HOST = "127.0.0.1"
_READ_BYTES = 256 * 1024
_REQUEST_LINE = re.compile(rb"(?:GET|PUT|POST|HEAD|DELETE) [^\r\n]{1,4096} HTTP/1\.1\r\n")
# A read may split a request line.
_TAIL_BYTES = 4200


class RequestCounter:
    """Counts request lines in the bytes of one direction."""

    def __init__(self) -> None:
        self.count = 0

    def scanner(self) -> RequestScanner:
        """A scanner for one connection."""
        return RequestScanner(self)


class RequestScanner:
    """Finds request lines in a stream that arrives in pieces."""

    def __init__(self, counter: RequestCounter) -> None:
        self._counter = counter
        self._tail = b""

    def feed(self, piece: bytes) -> None:
        """Count the lines that end in this piece."""
        text = self._tail + piece
        end = 0
        for found in _REQUEST_LINE.finditer(text):
            self._counter.count += 1
            end = found.end()
        self._tail = text[max(end, len(text) - _TAIL_BYTES) :]


async def _forward(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    delay: float,
    scanner: RequestScanner | None,
) -> None:
    """Forward bytes `delay` seconds after their arrival, without limit on the bytes in transit."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(_READ_BYTES):
            if scanner is not None:
                scanner.feed(piece)
            under_way.put_nowait((loop.time() + delay, piece))
    under_way.put_nowait((loop.time() + delay, b""))
    with contextlib.suppress(ConnectionError):
        await delivery


async def _serve(upstream: int, round_trip: float) -> None:
    counter = RequestCounter()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(_HOST, upstream)
        await asyncio.gather(
            _forward(reader, up_writer, round_trip / 2, counter.scanner()),
            _forward(up_reader, writer, round_trip / 2, None),
        )

    async def answer_count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(counter.count).encode())
        counter.count = 0
        await writer.drain()
        writer.close()

    proxy = await asyncio.start_server(connect, _HOST, 0, backlog=512)
    control = await asyncio.start_server(answer_count, _HOST, 0)
    ports = {
        "proxy": proxy.sockets[0].getsockname()[1],
        "control": control.sockets[0].getsockname()[1],
    }
    print(json.dumps(ports), flush=True)
    async with proxy, control:
        await proxy.serve_forever()


@dataclass(frozen=True)
class LatencyProxy:
    """A running proxy."""

    port: int
    control_port: int

    def requests(self) -> int:
        """HTTP requests since the previous call."""

        async def ask() -> int:
            reader, writer = await asyncio.open_connection(_HOST, self.control_port)
            count = await reader.read()
            writer.close()
            return int(count)

        return asyncio.run(ask())


@contextlib.contextmanager
def latency_proxy(upstream: int, round_trip: float) -> Iterator[LatencyProxy]:
    """A proxy in a separate process, so that it does not share the GIL with its clients."""
    process = subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).resolve()),
            f"--upstream={upstream}",
            f"--round-trip={round_trip}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - stdout=PIPE above
        ports = json.loads(process.stdout.readline())
        yield LatencyProxy(ports["proxy"], ports["control"])
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Run the proxy until it is terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--round-trip", type=float, required=True, help="seconds")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.upstream, arguments.round_trip))


if __name__ == "__main__":
    main()

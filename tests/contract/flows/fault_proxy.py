"""A proxy in front of S3 that makes chosen requests fail, as networks and S3 do."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from typing import Literal

from tests.http_servers import serving

# "spoil" changes a byte of the request's body; "403 skewed" simulates a wrong clock.
Fault = Literal["401", "403", "403 skewed", "500", "503", "reset", "cut", "hang", "spoil"]
# Takes the number of the request, from 0, and its request line; returns the fault, or None.
Plan = Callable[[int, str], Fault | None]
# The store's error response to a whole request, None if it accepts the request.
Judge = Callable[[bytes], bytes | None]

_ANSWERS = {
    "401": b"<Error><Code>Unauthorized</Code></Error>",
    "403": b"<Error><Code>AccessDenied</Code></Error>",
    "403 skewed": b"<Error><Code>RequestTimeTooSkewed</Code></Error>",
    "500": b"<Error><Code>InternalError</Code></Error>",
    "503": b"<Error><Code>SlowDown</Code></Error>",
}


class FaultProxy(socketserver.ThreadingTCPServer):
    """Handles one request per connection, counts them, and uses the plan for each."""

    daemon_threads, request_queue_size = True, 256

    def __init__(self, upstream: int, plan: Plan, judge: Judge | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.plan, self.judge = upstream, plan, judge
        self.spoiled: list[str] = []
        self.count = 0
        self.turn = threading.Lock()
        self.port = int(self.server_address[1])
        self.over = threading.Event()


class _Handler(socketserver.StreamRequestHandler):
    server: FaultProxy

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._serve(self.server)

    def _serve(self, proxy: FaultProxy) -> None:
        request = _read_request(self.rfile)
        if not request:
            return
        line = request.split(b"\r\n", 1)[0].decode("latin-1")
        with proxy.turn:
            fault = proxy.plan(proxy.count, line)
            proxy.count += 1
            if fault is not None:
                proxy.spoiled.append(f"{fault}: {line}")
        if fault == "reset":
            # Closing with unsent data pending, and no linger, resets.
            linger = b"\1\0\0\0\0\0\0\0"
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            return
        if fault == "hang":
            proxy.over.wait(60)
            return
        if fault in _ANSWERS:
            body = _ANSWERS[fault]
            self.wfile.write(
                b"HTTP/1.1 %s Fault\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (fault.encode(), len(body), body)
            )
            return
        if fault == "spoil":
            request = request[:-1] + bytes([request[-1] ^ 1])
        refusal = proxy.judge(request) if proxy.judge else None
        answer = refusal or _answer(proxy.upstream, request)
        self.wfile.write(answer[: len(answer) // 2] if fault == "cut" else answer)


def _answer(port: int, request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [each for each in head.split(b"\r\n") if not each.lower().startswith(b"connection:")]
    with socket.create_connection(("127.0.0.1", port)) as server, server.makefile("rb") as answer:
        server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
        return answer.read()


def _read_request(stream: BufferedIOBase) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    length = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return head + stream.read(int(length[1]) if length else 0)


@contextlib.contextmanager
def fault_proxy(upstream: int, plan: Plan, judge: Judge | None = None) -> Iterator[FaultProxy]:
    """A running proxy."""
    proxy = FaultProxy(upstream, plan, judge)
    with serving(proxy):
        try:
            yield proxy
        finally:
            proxy.over.set()

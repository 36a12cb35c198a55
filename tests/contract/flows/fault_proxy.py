"""A proxy in front of S3 that makes chosen requests fail, as networks and S3 do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Literal

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


class FaultProxy:
    """Handles one request per connection, counts them, and uses the plan for each."""

    def __init__(self, upstream: int, plan: Plan, judge: Judge | None = None) -> None:
        self.spoiled: list[str] = []
        self._upstream = upstream
        self._plan = plan
        self._judge = judge
        self._count = 0
        self._turn = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            request = _read_request(client)
            if not request:
                return
            line = request.split(b"\r\n", 1)[0].decode("latin-1")
            with self._turn:
                number = self._count
                self._count += 1
                fault = self._plan(number, line)
                if fault is not None:
                    self.spoiled.append(f"{fault}: {line}")
            if fault == "reset":
                # Closing with unsent data pending, and no linger, resets.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if fault == "hang":
                self._over.wait(60)
                return
            if fault in _ANSWERS:
                body = _ANSWERS[fault]
                client.sendall(
                    b"HTTP/1.1 %s Fault\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (fault.encode(), len(body), body)
                )
                return
            if fault == "spoil":
                request = request[:-1] + bytes([request[-1] ^ 1])
            refusal = self._judge(request) if self._judge else None
            answer = refusal or self._ask(request)
            client.sendall(answer[: len(answer) // 2] if fault == "cut" else answer)

    def _ask(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [
            line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")
        ]
        with socket.create_connection(("127.0.0.1", self._upstream)) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
            answer = b""
            while piece := server.recv(1 << 18):
                answer += piece
        return answer


def _read_request(client: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        piece = client.recv(1 << 18)
        if not piece:
            return b""
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = client.recv(1 << 18)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def fault_proxy(upstream: int, plan: Plan, judge: Judge | None = None) -> Iterator[FaultProxy]:
    """A running proxy."""
    proxy = FaultProxy(upstream, plan, judge)
    try:
        yield proxy
    finally:
        proxy.close()

"""A stand-in for Prefect Cloud: a real Prefect server behind what Cloud does otherwise.

It serves the API under an account and a workspace, only the calls that Cloud serves
(`prefect_cloud_calls`), to a bearer key alone, and answers 429 with Retry-After when
asked to. It records every request, so that one can tell what a part costs of a plan.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.ports import HOST
from sandbox.prefect_cloud_calls import served_call

KEY = "pnu_sandbox"
_ACCOUNT, _WORKSPACE = uuid.UUID(int=1), uuid.UUID(int=2)
_BELOW = f"/api/accounts/{_ACCOUNT}/workspaces/{_WORKSPACE}"
# Websockets that Cloud serves: events and logs, in and out.
_STREAMS = frozenset({"/events/in", "/events/out", "/logs/out"})
_READ_BYTES = 1 << 16
# Of one hop, and not of what a request says.
_HOP_HEADERS = frozenset({"host", "connection", "authorization", "transfer-encoding"})
_KEPT = ("Content-Type", "Content-Encoding", "Retry-After")


@dataclass(frozen=True)
class Asked:
    """A request: when, by the monotonic clock; the call it is, None of one that Cloud lacks; its answer."""

    at: float
    call: str | None
    line: str
    status: int


# Given a call: the Retry-After of a 429, None to let it through.
Throttle = Callable[[str], float | None]


class PrefectCloud:
    """The stand-in, running until it is closed.

    Attributes:
        asked: all requests, in their order.
        throttle: decides on 429; may be set at any time.
    """

    def __init__(self, upstream: int) -> None:
        """Serve in front of the server at a port of loopback."""
        self.asked: list[Asked] = []
        self.throttle: Throttle = lambda _call: None
        self._upstream = upstream
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True
        self.cloud_url = f"http://{HOST}:{self._server.server_port}/api"
        self.url = f"http://{HOST}:{self._server.server_port}{_BELOW}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Prefect's client takes it for Cloud."""
        return {
            "PREFECT_CLOUD_API_URL": self.cloud_url,
            "PREFECT_API_URL": self.url,
            "PREFECT_API_KEY": KEY,
        }

    def counts(self, since: int = 0) -> Counter[str]:
        """How often each call was made, from a position of `asked` on."""
        return Counter(each.call or each.line for each in self.asked[since:])

    def not_served(self) -> list[str]:
        """The requests that Cloud would answer with 404 for want of such a call."""
        return [each.line for each in self.asked if each.call is None]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        line = f"{handler.command} {handler.path.removeprefix(_BELOW)}"
        below = handler.path.removeprefix(_BELOW)
        is_below = handler.path.startswith(_BELOW + "/")
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if is_below and "upgrade" in handler.headers.get("Connection", "").lower():
            stream = below.partition("?")[0]
            # A worker whose stream is refused polls instead, as it does here.
            self._note(f"STREAM {stream}", line, 101 if stream in _STREAMS else 404)
            if stream in _STREAMS:
                self._tunnel(handler, below)
            else:
                _say(handler, 404, b'{"detail": "Not Found"}')
            return
        call = served_call(handler.command, below) if is_below else None
        wait = self.throttle(call) if call else None
        headers: dict[str, str] = {}
        if call is None:
            status, data = 404, b'{"detail": "Not Found"}'
        elif handler.headers.get("Authorization") != f"Bearer {KEY}":
            status, data = 401, b'{"detail": "Invalid authentication credentials"}'
        elif wait is not None:
            status, headers, data = 429, {"Retry-After": f"{wait:g}"}, b'{"detail": "slow down"}'
        else:
            status, headers, data = self._ask(handler, below, body)
        self._note(call, line, status)
        _say(handler, status, data, headers)

    def _note(self, call: str | None, line: str, status: int) -> None:
        self.asked.append(Asked(time.monotonic(), call, line, status))

    def _ask(
        self, handler: BaseHTTPRequestHandler, path: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(http.client.HTTPConnection(HOST, self._upstream)) as server:
            server.request(handler.command, f"/api{path}", body or None, _passed_on(handler))
            answer = server.getresponse()
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return answer.status, kept, answer.read()

    def _tunnel(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        """Pass a websocket's bytes on, both ways, until one side ends it."""
        handler.close_connection = True
        headers = {**_passed_on(handler), "Connection": "Upgrade", "Host": f"{HOST}"}
        head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        with socket.create_connection((HOST, self._upstream)) as server:
            server.sendall(f"GET /api{path} HTTP/1.1\r\n{head}\r\n".encode())
            ways = {server: handler.connection, handler.connection: server}
            while True:
                for came in select.select(list(ways), [], [])[0]:
                    piece = came.recv(_READ_BYTES)
                    if not piece:
                        return
                    ways[came].sendall(piece)


def _passed_on(handler: BaseHTTPRequestHandler) -> dict[str, str]:
    return {
        name: text for name, text in handler.headers.items() if name.lower() not in _HOP_HEADERS
    }


def _say(
    handler: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, text in ((headers or {}) | {"Content-Length": str(len(data))}).items():
        handler.send_header(name, text)
    handler.end_headers()
    handler.wfile.write(data)


def _handler(cloud: PrefectCloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def take(self) -> None:
            with contextlib.suppress(ConnectionError):
                cloud.answer(self)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = take  # noqa: N815 - as http.server calls them

    return Handler


@contextlib.contextmanager
def prefect_cloud(upstream: int) -> Iterator[PrefectCloud]:
    """Run a stand-in in front of the Prefect server at a port of loopback."""
    cloud = PrefectCloud(upstream)
    try:
        yield cloud
    finally:
        cloud.close()

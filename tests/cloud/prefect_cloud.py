"""A stand-in for Prefect Cloud: a proxy in front of a real Prefect server.

Like Cloud, it serves the API under an account and a workspace, only with a bearer
key, and only the calls that Cloud has (`prefect_cloud_calls`). It can respond with 429
and Retry-After. It records every request, which shows how much of a plan's request
limit each part uses.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.parts.ports import HOST
from tests.cloud.prefect_cloud_calls import served_call
from tests.http_servers import serving

KEY = "pnu_sandbox"
_ACCOUNT, _WORKSPACE = uuid.UUID(int=1), uuid.UUID(int=2)
_PATH_PREFIX = f"/api/accounts/{_ACCOUNT}/workspaces/{_WORKSPACE}"
# Cloud's websockets: events and logs.
_STREAMS = frozenset({"/events/in", "/events/out", "/logs/out"})
_READ_BYTES = 1 << 16
# Headers of one connection; they are not forwarded.
_HOP_HEADERS = frozenset({"host", "connection", "authorization", "transfer-encoding"})
_KEPT = ("Content-Type", "Content-Encoding", "Retry-After")


@dataclass(frozen=True)
class RecordedRequest:
    """A request to the stand-in.

    Attributes:
        at: monotonic time of the request.
        call: the API call, or None if Cloud does not have it.
        line: method and path.
        status: the response's HTTP status.
    """

    at: float
    call: str | None
    line: str
    status: int


# Takes a call; returns the Retry-After of a 429 response, or None to serve the call.
Throttle = Callable[[str], float | None]


class PrefectCloud:
    """The stand-in.

    Attributes:
        requests: all requests in order.
        throttle: decides which calls get 429; may be set at any time.
    """

    def __init__(self, upstream: int) -> None:
        """Serve in front of the Prefect server at a loopback port."""
        self.requests: list[RecordedRequest] = []
        self.throttle: Throttle = lambda _call: None
        self._upstream = upstream
        self.server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self.server.daemon_threads = True
        self.cloud_url = f"http://{HOST}:{self.server.server_port}/api"
        self.url = f"http://{HOST}:{self.server.server_port}{_PATH_PREFIX}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make Prefect's client use the stand-in as Cloud."""
        return {
            "PREFECT_CLOUD_API_URL": self.cloud_url,
            "PREFECT_API_URL": self.url,
            "PREFECT_API_KEY": KEY,
        }

    def counts(self, since: int = 0) -> Counter[str]:
        """Count each call, from a position of `requests` on."""
        return Counter(each.call or each.line for each in self.requests[since:])

    def not_served(self) -> list[str]:
        """Return the requests that Cloud does not serve; it would respond with 404."""
        return [each.line for each in self.requests if each.call is None]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Respond to one request."""
        path = handler.path.removeprefix(_PATH_PREFIX)
        line = f"{handler.command} {path}"
        is_api_path = handler.path.startswith(_PATH_PREFIX + "/")
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if is_api_path and "upgrade" in handler.headers.get("Connection", "").lower():
            stream = path.partition("?")[0]
            # A worker polls if its stream is refused.
            self._record(f"STREAM {stream}", line, 101 if stream in _STREAMS else 404)
            if stream in _STREAMS:
                self._tunnel(handler, path)
            else:
                _respond(handler, 404, b'{"detail": "Not Found"}')
            return
        call = served_call(handler.command, path) if is_api_path else None
        wait = self.throttle(call) if call else None
        headers: dict[str, str] = {}
        if call is None:
            status, data = 404, b'{"detail": "Not Found"}'
        elif handler.headers.get("Authorization") != f"Bearer {KEY}":
            status, data = 401, b'{"detail": "Invalid authentication credentials"}'
        elif wait is not None:
            status, headers, data = 429, {"Retry-After": f"{wait:g}"}, b'{"detail": "slow down"}'
        else:
            status, headers, data = self._forward(handler, path, body)
        self._record(call, line, status)
        _respond(handler, status, data, headers)

    def _record(self, call: str | None, line: str, status: int) -> None:
        self.requests.append(RecordedRequest(time.monotonic(), call, line, status))

    def _forward(
        self, handler: BaseHTTPRequestHandler, path: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(http.client.HTTPConnection(HOST, self._upstream)) as server:
            server.request(
                handler.command, f"/api{path}", body or None, _forwarded_headers(handler)
            )
            answer = server.getresponse()
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return answer.status, kept, answer.read()

    def _tunnel(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        """Forward a websocket's bytes in both directions until one side closes it."""
        handler.close_connection = True
        headers = {**_forwarded_headers(handler), "Connection": "Upgrade", "Host": f"{HOST}"}
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


def _forwarded_headers(handler: BaseHTTPRequestHandler) -> dict[str, str]:
    return {
        name: text for name, text in handler.headers.items() if name.lower() not in _HOP_HEADERS
    }


def _respond(
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

        def serve(self) -> None:
            with contextlib.suppress(ConnectionError):
                cloud.answer(self)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = serve  # noqa: N815 - http.server calls these names

    return Handler


@contextlib.contextmanager
def prefect_cloud(upstream: int) -> Iterator[PrefectCloud]:
    """Run a stand-in in front of the Prefect server at a loopback port."""
    cloud = PrefectCloud(upstream)
    with serving(cloud.server):
        yield cloud

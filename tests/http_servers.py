"""HTTP servers on this machine that answer as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer
from typing import Any

# Status (0 closes the connection without an answer), bytes or JSON, and headers.
Reply = tuple[int, Any, Mapping[str, str]]
# Takes the request and its JSON.
Answer = Callable[[BaseHTTPRequestHandler, Any], Reply]


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Serve in a thread while the block runs."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Answer each request while the block runs; yields the server's origin."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content, headers = answer(self, json.loads(body) if body else None)
            if status == 0:
                self.connection.close()
                self.close_connection = True
                return
            written = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, text in {"Content-Length": str(len(written)), **headers}.items():
                self.send_header(name.replace("_", "-"), text)
            self.end_headers()
            self.wfile.write(written)

        do_GET = do_POST = take  # noqa: N815 - the names that http.server calls

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


class QuietFolderHandler(SimpleHTTPRequestHandler):
    """Serves files without ranges, and prints nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in http.server
        """Print nothing."""


@contextmanager
def folder_server(folder: Path, handler: Any = QuietFolderHandler, **options: Any) -> Iterator[str]:
    """Serve a folder while the block runs; yields the address of its root."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(folder), **options)
    )
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}/"

"""The metadata endpoint that ECS gives a task, on this machine."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"


@contextmanager
def ecs_endpoint(task: dict[str, object]) -> Iterator[str]:
    """Answer `task` under /task while the block runs; yields what `VARIABLE` has to be."""

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(task if self.path == "/v4/id/task" else {}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v4/id"
        server.shutdown()

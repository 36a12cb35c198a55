"""moto as the sandbox's AWS, under a server that keeps connections alive.

moto's own server closes each connection after one request; with the hundreds of
small objects of a Zarr store that costs more than the requests themselves.
"""

import argparse
import functools
import logging
import os
import signal
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING

from cheroot import wsgi
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from sandbox import event_bridge, message_queues
from sandbox.ports import HOST

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The Prefect worker's observer and each trigger hold a thread while they long
# poll, and a task writes with up to 64 connections.
_THREADS = 128
_KEPT_CONNECTIONS = 1_000


class _Dispatcher(DomainDispatcherApplication):
    """moto's, which looks through its own folders at each request to answer this."""

    # B019: there is one, and it lives as long as the server.
    @functools.lru_cache(maxsize=64)  # noqa: B019
    def get_backend_for_host(self, host: str | None) -> str | None:
        found: str | None = super().get_backend_for_host(host)
        return found


def _with_raw_uri(application: "WSGIApplication") -> "WSGIApplication":
    """Hand the request's URI on as it came, under the name moto looks for it.

    Without it moto reads keys from the decoded path, where a key's own `?` or
    `%2F` is gone.
    """

    def serve_request(
        environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        environ["RAW_URI"] = environ["REQUEST_URI"]
        return application(environ, start_response)

    return serve_request


def serve(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    event_bridge.patch()
    message_queues.patch()
    server = wsgi.Server(
        (HOST, port),
        _with_raw_uri(_Dispatcher(create_backend_app)),
        numthreads=_THREADS,
        request_queue_size=512,
        timeout=60,
        shutdown_timeout=1,
    )
    server.keep_alive_conn_limit = _KEPT_CONNECTIONS

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's shape
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        server.start()
    except KeyboardInterrupt:
        # Threads that still long poll would hold the end up for 20 s; there is
        # nothing to save, as everything moto knows lives in memory.
        logging.shutdown()
        os._exit(0)


def main() -> None:
    """Run the server (`python -m sandbox.aws_server --port N`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    serve(parser.parse_args().port)


if __name__ == "__main__":
    main()

"""moto as the sandbox's AWS, under a server that keeps connections alive.

moto's own server closes each connection after one request; with the hundreds of
small objects of a Zarr store that costs more than the requests themselves.
"""

import argparse
import logging
import os
import signal
from types import FrameType

from cheroot import wsgi
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from sandbox.ports import HOST

# The Prefect worker's observer and each trigger hold a thread while they long
# poll, and a task writes with up to 64 connections.
_THREADS = 128
_KEPT_CONNECTIONS = 1_000


def serve(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = wsgi.Server(
        (HOST, port),
        DomainDispatcherApplication(create_backend_app),
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

"""Runs moto as the sandbox's AWS, in a server that keeps connections alive.

moto's own server closes each connection after one request. A Zarr store has
hundreds of small objects, so reconnecting would take longer than the requests.
"""

import argparse
import functools
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cheroot import wsgi
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs.models import Queue, SQSBackend

from sandbox.aws import event_bridge
from sandbox.aws.kept_objects import KeptObjects
from sandbox.parts.ports import HOST
from sandbox.parts.signals import ended_by_signals

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The Prefect worker's observer and each trigger hold a thread during a long poll.
# A task writes with up to 64 connections.
_THREADS = 128
_KEPT_CONNECTIONS = 1_000


class _Dispatcher(DomainDispatcherApplication):
    """Caches the backend of a host; moto searches its folders at each request."""

    # B019: there is one instance, and it lives as long as the server.
    @functools.lru_cache(maxsize=64)  # noqa: B019
    def get_backend_for_host(self, host: str | None) -> str | None:
        found: str | None = super().get_backend_for_host(host)
        return found


def _with_raw_uri(application: "WSGIApplication") -> "WSGIApplication":
    """Pass the raw request URI to moto.

    Otherwise moto reads keys from the decoded path, which has lost a key's own `?`
    or `%2F`.
    """

    def serve_request(
        environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        environ["RAW_URI"] = environ["REQUEST_URI"]
        return application(environ, start_response)

    return serve_request


def patch_queues() -> None:
    """Make delete and receive of moto's queues in this process hold the queue's lock.

    moto's delete rebuilds a queue's list of messages without it. A message sent at the same
    time is lost, and one deleted at the same time reappears. moto's receive reads the list
    without the lock too.
    """
    queues: Any = Queue
    backends: Any = SQSBackend
    delete, receive = queues.delete_message, backends.receive_message

    # ANN401: moto's arguments are passed on.
    def delete_message(queue: Any, receipt_handle: str) -> None:  # noqa: ANN401
        with queue._messages_lock:  # noqa: SLF001 - moto's send uses it too
            delete(queue, receipt_handle)

    def receive_message(backend: Any, queue_name: str, *more: Any, **named: Any) -> Any:  # noqa: ANN401
        # A receive that waits for messages releases the lock.
        with backend.get_queue(queue_name)._messages_lock:  # noqa: SLF001
            return receive(backend, queue_name, *more, **named)

    queues.delete_message, backends.receive_message = delete_message, receive_message


def serve(port: int, keep: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; the objects are kept in the folder `keep`, if there is one."""
    event_bridge.patch()
    patch_queues()
    application: WSGIApplication = _Dispatcher(create_backend_app)
    if keep is not None:
        objects = KeptObjects(keep)
        objects.restore()
        application = objects.keeping(application)
    server = wsgi.Server(
        (HOST, port),
        _with_raw_uri(application),
        numthreads=_THREADS,
        request_queue_size=512,
        timeout=60,
        shutdown_timeout=1,
    )
    server.keep_alive_conn_limit = _KEPT_CONNECTIONS
    with ended_by_signals():
        try:
            server.start()
        except KeyboardInterrupt:
            # Threads in a long poll would delay the end by 20 s. There is nothing to
            # save: kept objects are in their folder, and all else is in memory alone.
            logging.shutdown()
            os._exit(0)


def main() -> None:
    """Run the server (`python -m sandbox.aws.aws_server --port N [--keep FOLDER]`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    serve(given.port, given.keep)


if __name__ == "__main__":
    main()

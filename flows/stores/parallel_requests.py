"""Parallel requests to a store, which stop soon once they are cancelled."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

A = TypeVar("A")
B = TypeVar("B")

# All requests of one output may run in parallel; botocore's default of 10 connections makes 145
# small puts three times slower.
CONNECTIONS = 64

# One for each pool, in its threads: set when its block ends with an error.
_cancelled: ContextVar[threading.Event | None] = ContextVar("_cancelled", default=None)


class RequestsCancelledError(Exception):
    """A request was not sent or not retried, because the pool was cancelled."""


@contextlib.contextmanager
def request_pool(connections: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool for requests to a store.

    If the block ends with an error or a signal, pending requests are dropped and failed
    ones are not retried, so that a store that does not answer costs a stopped task one
    time-out, not eight. Running requests are awaited, so that no put arrives after the
    clean-up.
    """
    given_up = threading.Event()
    pool = ThreadPoolExecutor(
        connections, thread_name_prefix="s3", initializer=_cancelled.set, initargs=(given_up,)
    )
    try:
        yield pool
    except BaseException:
        given_up.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_parallel(
    call: Callable[[A], B], arguments: Iterable[A], *, connections: int = CONNECTIONS
) -> list[B]:
    """`[call(a) for a in arguments]` in parallel; stops at the first error or signal."""
    waiting = list(arguments)
    if not waiting:
        return []
    with request_pool(min(connections, len(waiting))) as pool:
        return list(pool.map(call, waiting))


def stop_when_cancelled(client: S3Client) -> None:
    """Make a client's requests stop when their pool is cancelled."""
    # Before each attempt, and before the wait for the next.
    for event in ("before-send.s3", "needs-retry.s3"):
        client.meta.events.register_first(event, _raise_if_cancelled)


def _raise_if_cancelled(**_: Any) -> None:  # noqa: ANN401 - the SDK's description of the request
    given_up = _cancelled.get()
    if given_up is not None and given_up.is_set():
        raise RequestsCancelledError

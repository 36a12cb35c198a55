"""Many requests to a store at a time, which end soon once nobody waits for them."""

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

# Every request of one output may be in flight at a time; botocore's default of
# 10 connections makes 145 small puts three times slower.
CONNECTIONS = 64

# Of a pool's threads: set once its block has ended by an error.
_given_up: ContextVar[threading.Event | None] = ContextVar("_given_up", default=None)


class GivenUpError(Exception):
    """A request was not sent, or not sent again: whoever wanted its answer has ended."""


@contextlib.contextmanager
def request_pool(connections: int) -> Iterator[ThreadPoolExecutor]:
    """Threads to ask a store from.

    Where the block ends by an error or a signal, what has not begun is dropped
    and what fails is not tried again: a store that does not answer costs a
    stopped task one time-out, not eight. What is under way is waited for, so
    that no put lands behind the clean-up.
    """
    given_up = threading.Event()
    pool = ThreadPoolExecutor(
        connections, thread_name_prefix="s3", initializer=_given_up.set, initargs=(given_up,)
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
    """`[call(a) for a in arguments]`, so many at a time; ends by the first error or a signal."""
    waiting = list(arguments)
    if not waiting:
        return []
    with request_pool(min(connections, len(waiting))) as pool:
        return list(pool.map(call, waiting))


def heed_giving_up(client: S3Client) -> None:
    """Let a client's requests end with the pool that they are made in."""
    # Ahead of each attempt, and of the wait for another.
    for event in ("before-send.s3", "needs-retry.s3"):
        client.meta.events.register_first(event, _unless_given_up)


def _unless_given_up(**_: Any) -> None:  # noqa: ANN401 - whatever the SDK tells of the request
    given_up = _given_up.get()
    if given_up is not None and given_up.is_set():
        raise GivenUpError

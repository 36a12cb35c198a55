"""Runs requests in parallel over a stream that does not fit in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

THREADS = 32

# Called with the current activity, how much of it is done, and the total (None: unknown).
Progress = Callable[[str, int, int | None], None]


def in_parallel(call: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """Yield `call(item)` for each item, in order; at most four items a thread are held at once.

    The first error is raised in its turn; calls that have not begun are cancelled.
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="operations") as pool:
        waiting: deque[Future[B]] = deque()
        stream = iter(items)
        try:
            for item in islice(stream, 4 * THREADS):
                waiting.append(pool.submit(call, item))
            while waiting:
                done = waiting.popleft().result()
                for item in islice(stream, 1):
                    waiting.append(pool.submit(call, item))
                yield done
        finally:
            for future in waiting:
                future.cancel()

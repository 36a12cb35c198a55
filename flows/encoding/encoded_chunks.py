"""Encodes the objects of a store in a thread, ahead of the writer, within a bound of bytes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# Enough for 64 connections that each send a chunk of some megabytes.
AHEAD_BYTES = 96 * 2**20


@dataclass(frozen=True)
class EncodedObject:
    """One object of a store.

    Attributes:
        key: relative to the store's root.
        keep: whether it is small, so that its body may stay in memory.
        fraction: the part of the store that is encoded so far, 0 to 1.
    """

    key: str
    body: bytes
    keep: bool
    fraction: float = 1.0


class _Cancelled(BaseException):
    """The consumer has stopped."""


class EncodedChunks(Generic[T]):
    """A running encoder.

    Iterate over it for the objects, call `release` for each written object, then read
    the `result`. The encoder waits while more bytes than the bound are not released.

    Args:
        encode: called in a thread with a function that takes each object; returns `result`.
        ahead_bytes: the bound; a single larger object is allowed.
    """

    def __init__(
        self, encode: Callable[[Callable[[EncodedObject], None]], T], ahead_bytes: int = AHEAD_BYTES
    ) -> None:
        self._encode = encode
        self._limit = ahead_bytes
        self._objects: queue.SimpleQueue[EncodedObject | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting_bytes = 0
        self._cancelled = False
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._seconds = 0.0
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def begun(self) -> None:
        """Wait until there is an object; raises what the encoder raised before."""
        self._begun.wait()
        if self._error is not None:
            raise self._error

    def __iter__(self) -> Iterator[EncodedObject]:
        """The objects as they are encoded; raises what the encoder raised."""
        while (item := self._objects.get()) is not None:
            yield item
        self._thread.join()
        if self._error is not None:
            raise self._error

    def release(self, item: EncodedObject) -> None:
        """Report that an object is written, so that its memory can be reused."""
        with self._room:
            self._waiting_bytes -= len(item.body)
            self._room.notify()

    def result(self) -> T:
        """The encoder's return value; available after the last object."""
        return self._result[0]

    @property
    def seconds(self) -> float:
        """Seconds that the encoder took, with its waits; available after the last object."""
        return self._seconds

    def cancel(self) -> None:
        """Stop the encoder, and wait until it has stopped."""
        with self._room:
            self._cancelled = True
            self._room.notify()
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            self._result.append(self._encode(self._take))
        except _Cancelled:
            pass
        # BLE001: the consumer raises it.
        except BaseException as error:  # noqa: BLE001
            self._error = error
        finally:
            self._seconds = time.monotonic() - begun
            self._begun.set()
            self._objects.put(None)

    def _take(self, item: EncodedObject) -> None:
        self._begun.set()
        with self._room:
            self._room.wait_for(
                lambda: (
                    self._cancelled
                    or self._waiting_bytes == 0
                    or self._waiting_bytes + len(item.body) <= self._limit
                )
            )
            if self._cancelled:
                raise _Cancelled
            self._waiting_bytes += len(item.body)
        self._objects.put(item)

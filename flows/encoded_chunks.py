"""The objects of a store, encoded in a thread ahead of who writes them, within a bound of bytes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# Enough for what 64 connections carry of chunks of some megabytes.
AHEAD_BYTES = 96 * 2**20


@dataclass(frozen=True)
class EncodedObject:
    """One object of a store.

    Attributes:
        key: relative to the store's root.
        keep: small, so that its body may stay in memory.
        fraction: how much of the store is encoded with it, 0 to 1.
    """

    key: str
    body: bytes
    keep: bool
    fraction: float = 1.0


class _Cancelled(BaseException):
    """Nobody takes the objects any more."""


class EncodedChunks(Generic[T]):
    """An encoder at work.

    Iterate over it for the objects, `release` each once it is written, then ask for
    the `result`. The encoder waits while more than the bound is not yet released.

    Args:
        encode: called in a thread with what takes each object; its result is `result`.
        ahead_bytes: the bound; a single larger object passes.
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
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[EncodedObject]:
        """The objects as they are encoded; raises what the encoder raised."""
        while (item := self._objects.get()) is not None:
            yield item
        self._thread.join()
        if self._error is not None:
            raise self._error

    def release(self, item: EncodedObject) -> None:
        """Say that an object is written, and its memory free."""
        with self._room:
            self._waiting_bytes -= len(item.body)
            self._room.notify()

    def result(self) -> T:
        """What the encoder returned; after the last object."""
        return self._result[0]

    @property
    def seconds(self) -> float:
        """How long the encoder took, its waiting for room included; after the last object."""
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
        # BLE001: it is raised where the objects are taken.
        except BaseException as error:  # noqa: BLE001
            self._error = error
        finally:
            self._seconds = time.monotonic() - begun
            self._objects.put(None)

    def _take(self, item: EncodedObject) -> None:
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

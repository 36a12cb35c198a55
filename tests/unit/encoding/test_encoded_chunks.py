"""Objects that are encoded ahead of the writer: within a bound, and without deadlocks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from flows.encoding.encoded_chunks import EncodedChunks, EncodedObject
from flows.encoding.written_store import WrittenStore
from flows.publishing.s3_attempt import S3Attempt
from flows.stores.parallel_requests import request_pool

Take = Callable[[EncodedObject], None]


def encode(take: Take) -> str:
    for number in range(20):
        take(EncodedObject(f"c/{number}", bytes(10), keep=False))
    return "documents"


def test_the_encoder_waits_while_more_than_its_bound_is_not_written() -> None:
    taken: list[str] = []

    def noting(take: Take) -> None:
        for number in range(20):
            take(EncodedObject(str(number), bytes(10), keep=False))
            taken.append(str(number))

    chunks = EncodedChunks(noting, ahead_bytes=30)
    for item in chunks:
        # At most three objects are passed on and not released, and one is being encoded.
        assert len(taken) <= int(item.key) + 4
        chunks.release(item)
    assert len(taken) == 20


def test_what_the_encoder_raises_is_raised_where_objects_are_taken() -> None:
    def failing(take: Take) -> None:
        take(EncodedObject("a", b"", keep=False))
        raise ValueError("no place for it")

    with pytest.raises(ValueError, match="no place"):
        list(EncodedChunks(failing))


def test_a_cancelled_encoder_ends_without_a_consumer() -> None:
    before = threading.active_count()
    EncodedChunks(encode, ahead_bytes=10).cancel()
    assert threading.active_count() == before


class _Refusing:
    """The parts of a store, claim and order that a put uses."""

    def check(self) -> None: ...

    def progress(self, _stage: str, _fraction: float) -> None: ...

    def put(self, key: str, _body: bytes) -> str:
        raise PermissionError(key)


def test_a_put_that_fails_ends_the_rest_and_waits_for_no_room() -> None:
    """If its memory were not released, the encoder would wait for it, and the puts for the encoder."""
    parts = cast("Any", _Refusing())
    output = cast("Any", type("Output", (), {"key": "out.zarr"})())
    attempt = S3Attempt(parts, output, parts, parts)
    chunks = EncodedChunks(encode, ahead_bytes=10)
    ended = threading.Event()
    failures: list[BaseException] = []

    def put() -> None:
        try:
            with request_pool(2) as requests:
                attempt.put_chunks(chunks, WrittenStore(), requests)
        except PermissionError as error:
            failures.append(error)
        ended.set()

    threading.Thread(target=put, daemon=True).start()
    assert ended.wait(10)
    assert failures
    chunks.cancel()

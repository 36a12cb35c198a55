"""Uploads in parts, and cancelled parallel requests."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flows.core.outcomes import TransientFault
from flows.stores.object_store import ObjectStore
from flows.stores.parallel_requests import request_pool
from flows.stores.s3_client import s3_client
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, fault_proxy

_PART = 10_000


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.stores.object_store.PART_BYTES", _PART)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(10 * _PART + 7))
    return path


def uploads(store: ObjectStore) -> list[str]:
    """Keys of unfinished uploads."""
    found = store.client.list_multipart_uploads(Bucket=store.bucket)
    return [upload["Key"] for upload in found.get("Uploads", [])]


def answer(status: int, code: str) -> ClientError:
    """An S3 error, with the fields that the code reads."""
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "AnOperation")


@contextmanager
def before(store: ObjectStore, operation: str, handler: Callable[..., None]) -> Iterator[None]:
    """Call a function before each request of an operation; it may raise."""
    event = f"before-call.s3.{operation}"
    store.client.meta.events.register(event, handler)
    try:
        yield
    finally:
        store.client.meta.events.unregister(event, handler)


def test_a_large_file_arrives_in_parts_and_whole(buckets: Buckets, file: Path) -> None:
    numbers: list[int] = []

    def count(params: dict[str, Any], **_: Any) -> None:
        numbers.append(int(params["query_string"]["partNumber"]))

    with before(buckets.output, "UploadPart", count):
        etag = buckets.output.put_file("a b.nc", file)
    assert sorted(numbers) == list(range(1, 12))
    found = buckets.output.get("a b.nc")
    assert found is not None
    assert found.body == file.read_bytes()
    assert found.etag == etag
    assert uploads(buckets.output) == []


@pytest.mark.parametrize("abort", ["succeeds", "fails"])
def test_a_stopped_upload_is_aborted_and_its_error_is_raised(
    buckets: Buckets, file: Path, abort: str
) -> None:
    store = buckets.output

    def stop(params: dict[str, Any], **_: Any) -> None:
        if params["query_string"]["partNumber"] == 4:
            raise SystemExit(143)

    def refuse(**_: Any) -> None:
        if abort == "fails":
            raise answer(500, "InternalError")

    with (
        before(store, "UploadPart", stop),
        before(store, "AbortMultipartUpload", refuse),
        pytest.raises(SystemExit, match="143"),
    ):
        store.put_file("out.nc", file)
    assert store.get("out.nc") is None
    assert uploads(store) == ([] if abort == "succeeds" else ["out.nc"])
    store.abort_uploads("out.nc")
    assert uploads(store) == []


def test_only_uploads_of_killed_runs_are_aborted(buckets: Buckets) -> None:
    store = buckets.output
    for key in ("out.nc", "out.nc", "out.nc.other", "another.nc"):
        store.client.create_multipart_upload(Bucket=store.bucket, Key=key)
    store.abort_uploads("out.nc")
    assert sorted(uploads(store)) == ["another.nc", "out.nc.other"]


def test_an_upload_that_was_aborted_elsewhere_is_a_transient_fault(
    buckets: Buckets, file: Path
) -> None:
    store = buckets.output

    def end(**_: Any) -> None:
        # moto does not support this error, and fails with a 500.
        raise answer(404, "NoSuchUpload")

    with (
        before(store, "CompleteMultipartUpload", end),
        pytest.raises(TransientFault, match=r"out\.nc.*NoSuchUpload"),
    ):
        store.put_file("out.nc", file)
    store.put_file("out.nc", file)
    found = store.get("out.nc")
    assert found is not None
    assert found.body == file.read_bytes()


def test_a_stopped_caller_sends_one_request_to_a_store_that_hangs(buckets: Buckets) -> None:
    lines: list[str] = []
    all_there = threading.Event()

    def hang(_number: int, line: str) -> Fault:
        lines.append(line)
        if len(lines) == 4:
            all_there.set()
        return "hang"

    with fault_proxy(buckets.port, hang) as proxy:
        options = {**options_for(proxy.port), "config_kwargs": {"read_timeout": 5}}
        store = ObjectStore(s3_client(options), buckets.output.bucket)

        def put_and_be_stopped() -> None:
            with request_pool(4) as pool:
                for number in range(8):
                    pool.submit(store.put, f"object-{number}", b"body")
                assert all_there.wait(30)
                raise SystemExit(143)

        with pytest.raises(SystemExit):
            put_and_be_stopped()
    # Without cancellation there would be eight attempts of the SDK, three times, and four more.
    assert len(lines) == 4

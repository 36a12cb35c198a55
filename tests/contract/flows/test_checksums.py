"""Checksums of our puts are correct, and a put with a damaged body is refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from flows.conversion import convert
from flows.core.outcomes import TransientFault
from flows.publishing.publication import Published
from flows.stores.object_store import ObjectStore
from flows.stores.request import ConversionRequest
from flows.stores.s3_client import s3_client
from tests.contract.flows.checksum_judge import ChecksumJudge
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, FaultProxy, Plan, fault_proxy

EK80 = "ek80/-1519668699940320059.raw"
# S3's smallest part.
PART = 5 * 1024 * 1024


def unharmed(_number: int, _line: str) -> Fault | None:
    return None


def spoiling(what: str, times: int) -> Plan:
    """Damage the first `times` puts whose request line contains `what`."""
    left = times

    def plan(_number: int, line: str) -> Fault | None:
        nonlocal left
        if line.startswith("PUT") and what in line and left:
            left -= 1
            return "spoil"
        return None

    return plan


@contextmanager
def judged(buckets: Buckets, plan: Plan) -> Iterator[tuple[FaultProxy, ChecksumJudge]]:
    judge = ChecksumJudge()
    with fault_proxy(buckets.port, plan, judge) as proxy:
        yield proxy, judge


def request_through(buckets: Buckets, proxy: FaultProxy, output_type: str) -> ConversionRequest:
    buckets.upload("ek80.raw", EK80)
    suffix = "zarr" if output_type == "zarr" else "nc"
    request = buckets.request(
        "ek80.raw",
        sonar_model="EK80",
        output_type=output_type,
        output_path=f"s3://{buckets.output.bucket}/out.{suffix}",
        # So that there are deletes, too.
        overwrite=True,
    )
    return request.model_copy(update={"output_storage_options": options_for(proxy.port)})


def test_the_judge_refuses_what_moto_takes(buckets: Buckets) -> None:
    wrong = {"Bucket": buckets.output.bucket, "Body": b"body", "ChecksumSHA256": "A" * 43 + "="}
    buckets.output.client.put_object(Key="taken", **wrong)  # type: ignore[arg-type]  # plain strings
    with (
        judged(buckets, unharmed) as (proxy, _),
        pytest.raises(ClientError, match="BadDigest"),
    ):
        s3_client(options_for(proxy.port)).put_object(Key="refused", **wrong)  # type: ignore[arg-type]
    assert buckets.output_keys() == {"taken"}


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_every_put_carries_a_sha256_that_is_its_body_s(buckets: Buckets, output_type: str) -> None:
    with judged(buckets, unharmed) as (proxy, judge):
        request = request_through(buckets, proxy, output_type)
        assert isinstance(convert(request), Published)
        # A newer upload replaces it, so old objects are deleted.
        buckets.upload("ek80.raw", "ek80/2917763601822576513.raw")
        assert isinstance(convert(request), Published)
    assert (judge.unchecked, judge.refused) == ([], [])
    puts = {line.split()[1] for line, algorithm in judge.checked if algorithm == "sha256"}
    for key in buckets.output_keys():
        assert f"/{buckets.output.bucket}/{key}" in puts


@pytest.mark.parametrize("what", ["backscatter_r/c/", "out.zarr/zarr.json", "manifest.json"])
def test_a_body_spoiled_once_is_refused_and_sent_again(buckets: Buckets, what: str) -> None:
    with judged(buckets, spoiling(what, times=1)) as (proxy, judge):
        done = convert(request_through(buckets, proxy, "zarr"))
    assert isinstance(done, Published)
    assert [code for _, code in judge.refused] == ["BadDigest"]
    assert len(buckets.output.list("out.zarr/")) == done.manifest["output"]["objects"]


@pytest.mark.parametrize(
    ("output_type", "what"), [("zarr", "backscatter_r/c/"), ("netcdf", "out.nc")]
)
def test_a_body_spoiled_each_time_ends_without_an_output(
    buckets: Buckets, output_type: str, what: str
) -> None:
    with (
        judged(buckets, spoiling(what, times=10_000)) as (proxy, judge),
        pytest.raises((ClientError, TransientFault), match="BadDigest"),
    ):
        convert(request_through(buckets, proxy, output_type))
    assert {code for _, code in judge.refused} == {"BadDigest"}
    assert buckets.output_keys() == set()


@pytest.mark.parametrize("times", [0, 1, 10_000])
def test_the_parts_of_a_large_file_are_checked_one_by_one(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr("flows.stores.object_store.PART_BYTES", PART)
    path = tmp_path / "large.nc"
    path.write_bytes(random.Random(1).randbytes(2 * PART + 1000))
    with judged(buckets, spoiling("partNumber=2", times)) as (proxy, judge):
        store = ObjectStore(s3_client(options_for(proxy.port)), buckets.output.bucket)
        if times > 1:
            with pytest.raises(ClientError, match="BadDigest"):
                store.put_file("large.nc", path)
        else:
            store.put_file("large.nc", path)
    if times > 1:
        assert buckets.output_keys() == set()
        found = buckets.output.client.list_multipart_uploads(Bucket=buckets.output.bucket)
        assert found.get("Uploads", []) == []
        return
    stored = buckets.output.get("large.nc")
    assert stored is not None
    assert stored.body == path.read_bytes()
    assert [code for _, code in judge.refused] == ["BadDigest"] * times
    assert len([line for line, algorithm in judge.checked if algorithm == "sha256"]) == 3
    assert judge.unchecked == []

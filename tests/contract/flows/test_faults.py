"""Faults of S3 while a file is fetched and published: the run still completes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from typing import Any

import pytest

from flows.conversion import convert, open_raw, save
from flows.core.outcomes import AccessDenied
from flows.publishing.manifest import read_manifest
from flows.publishing.publication import Published, Skipped
from flows.stores.request import ConversionRequest
from flows.stores.s3_client import s3_client
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.fault_proxy import Fault, fault_proxy

EK80 = "ek80/-1519668699940320059.raw"


@pytest.fixture(autouse=True)
def _short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    # The SDK waits up to 20 s between its attempts.
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff._MAX_BACKOFF", 0.2, raising=False
    )
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount",
        lambda *_: random.uniform(0, 0.1),
    )


def through(request: ConversionRequest, port: int, read_timeout: float = 5) -> ConversionRequest:
    options = {**options_for(port), "config_kwargs": {"read_timeout": read_timeout}}
    return dataclasses.replace(
        request, input_storage_options=options, output_storage_options=options
    )


@pytest.mark.parametrize("fault", ["500", "503", "reset", "cut", "hang"])
def test_a_run_completes_though_one_request_in_ten_fails(buckets: Buckets, fault: Fault) -> None:
    buckets.upload("ek80.raw", EK80)
    dice = random.Random(7)
    # Each hang costs a read time-out.
    chance, limit = (0.0, 4) if fault == "hang" else (0.1, 40)

    def plan(number: int, line: str) -> Fault | None:
        nonlocal limit
        # Some requests of the fetch, claim and puts, and then random ones.
        if limit and (number in {0, 1, 9, 40} or dice.random() < chance):
            limit -= 1
            return fault
        return None

    with fault_proxy(buckets.port, plan) as proxy:
        request = buckets.request("ek80.raw", sonar_model="EK80", overwrite=True)
        done = convert(through(request, proxy.port, read_timeout=1 if fault == "hang" else 5))
    assert len(proxy.spoiled) >= 3
    assert any(line.split()[1] == "PUT" for line in proxy.spoiled)
    stored = buckets.output.get("out.zarr.manifest.json")
    assert stored is not None
    manifest = read_manifest(stored.body, "manifest")
    assert isinstance(done, Published | Skipped)
    assert len(buckets.output.list("out.zarr/")) == manifest["output"]["objects"]
    assert "out.zarr.claim.json" not in buckets.output_keys()


def _kind(line: str) -> str:
    """The kind of a request in the fetch and put of a netCDF file."""
    method, target, _ = line.split()
    parts = "parts" if "uploadId=" in target else "uploads" if "uploads" in target else ""
    name = target.partition("?")[0].rpartition("/")[2]
    return f"{method} {name} {parts}"


@pytest.mark.parametrize("fault", ["500", "503", "reset", "cut", "hang"])
def test_a_netcdf_file_in_parts_completes_though_each_kind_of_request_fails(
    buckets: Buckets, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source in ranges, output in parts; the first request of each kind and every tenth fail."""
    monkeypatch.setattr("flows.stores.download.PART_BYTES", 100_003)
    monkeypatch.setattr("flows.stores.object_store.PART_BYTES", 100_003)
    buckets.upload("ek80.raw", EK80)
    output = f"s3://{buckets.output.bucket}/folder/out.nc"
    kinds: dict[str, int] = {}

    def plan(_number: int, line: str) -> Fault | None:
        kind = _kind(line)
        kinds[kind] = kinds.get(kind, -1) + 1
        return fault if kinds[kind] in ({0} if fault == "hang" else {0, 10, 20}) else None

    with fault_proxy(buckets.port, plan) as proxy:
        request = buckets.request(
            "ek80.raw", sonar_model="EK80", output_type="netcdf", output_path=output
        )
        done = convert(through(request, proxy.port, read_timeout=1 if fault == "hang" else 5))
    assert {
        "GET ek80.raw ",
        "PUT out.nc.claim.json ",
        "POST out.nc uploads",
        "PUT out.nc parts",
        "POST out.nc parts",
        "GET out.nc ",
        "PUT out.nc.manifest.json ",
        "DELETE out.nc.claim.json ",
    } <= kinds.keys()
    # If the response to the last put is lost, the next attempt finds its own output.
    assert isinstance(done, Published | Skipped)
    stored = buckets.output.get("folder/out.nc.manifest.json")
    found = buckets.output.get("folder/out.nc")
    assert stored is not None
    assert found is not None
    manifest = read_manifest(stored.body, "manifest")
    assert hashlib.sha256(found.body).hexdigest() == manifest["output"]["sha256"]
    assert buckets.output_keys() == {"folder/out.nc", "folder/out.nc.manifest.json"}
    client, bucket = buckets.output.client, buckets.output.bucket
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        # Started by a request whose response was lost; it has no parts that cost money.
        parts = client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        assert parts.get("Parts", []) == []


@pytest.mark.parametrize("what", ["claim.json", "manifest.json"])
def test_a_conditional_put_whose_answer_is_lost_is_known_as_our_own(
    buckets: Buckets, what: str
) -> None:
    buckets.upload("ek80.raw", EK80)
    opened = open_raw(buckets.request("ek80.raw", sonar_model="EK80"), lambda *_: None)
    assert not isinstance(opened, Skipped)
    lost: list[str] = []

    def plan(_number: int, line: str) -> Fault | None:
        if line.startswith("PUT") and what in line and not lost:
            lost.append(line)
            return "cut"
        return None

    with fault_proxy(buckets.port, plan) as proxy:
        opened.request = through(opened.request, proxy.port)
        done = save(opened, lambda *_: None)
    assert lost
    assert isinstance(done, Published)
    stored = buckets.output.get("out.zarr.manifest.json")
    assert stored is not None
    assert json.loads(stored.body) == done.manifest


def test_a_refused_request_is_not_retried(buckets: Buckets) -> None:
    buckets.upload("ek80.raw", EK80)
    request = buckets.request(
        "ek80.raw", sonar_model="EK80", output_path="s3://nobody-has-this/out.zarr"
    )
    asked: list[str] = []

    def note(request: Any, **_: object) -> None:
        if "nobody-has-this" in request.url:
            asked.append(f"{request.method} {request.url}")

    client = s3_client(dict(request.output_storage_options))
    client.meta.events.register("before-send.s3", note)
    try:
        with pytest.raises(AccessDenied, match="nobody-has-this"):
            convert(request)
    finally:
        client.meta.events.unregister("before-send.s3", note)
    assert asked
    assert len(asked) == len(set(asked)), "a request was sent again"

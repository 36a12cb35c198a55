"""A publication that is stopped by SIGTERM or a fault: what is left, and how a retry ends."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import xarray as xr

from flows.conversion import OpenedRaw, open_raw, save
from flows.core.outcomes import TransientFault
from flows.publishing.claims import S3Claim
from flows.publishing.identity import differences
from flows.publishing.manifest import read_manifest
from flows.publishing.publication import Published, Skipped
from flows.stores.object_store import ObjectStore
from tests.contract.flows.conftest import Buckets, options_for
from tests.contract.flows.few_arrays import with_few_arrays

EK80 = "ek80/-1519668699940320059.raw"


def quiet(_stage: str, _fraction: float) -> None:
    pass


def opened(buckets: Buckets, **changes: Any) -> OpenedRaw:
    buckets.upload("ek80.raw", EK80)
    changes = {"sonar_model": "EK80", "overwrite": True, "owner": "this run", **changes}
    found = open_raw(buckets.request("ek80.raw", **changes), quiet)
    assert isinstance(found, OpenedRaw)
    return with_few_arrays(found)


def again(it: OpenedRaw, buckets: Buckets, owner: str = "this run") -> OpenedRaw:
    """The same file, opened by a run that begins now."""
    manifest = buckets.output.get("out.zarr.manifest.json")
    request = it.request.model_copy(update={"owner": owner})
    return dataclasses.replace(
        it, request=request, manifest_at_start=manifest.etag if manifest else None, seconds={}
    )


def tree(buckets: Buckets) -> xr.DataTree:
    options = {k: v for k, v in options_for(buckets.port).items() if k != "config_kwargs"}
    return xr.open_datatree(
        f"s3://{buckets.output.bucket}/out.zarr",
        engine="zarr",
        chunks=None,
        storage_options={**options, "skip_instance_cache": True},
    )


def assert_whole(buckets: Buckets, it: OpenedRaw) -> None:
    """Check that there is an output that matches its manifest."""
    stored = buckets.output.get("out.zarr.manifest.json")
    assert stored is not None
    manifest = read_manifest(stored.body, "manifest")
    assert len(buckets.output.list("out.zarr/")) == manifest["output"]["objects"]
    assert differences(it.echodata, tree(buckets)) == []


def stop_at(
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    error: BaseException,
    *,
    count: int = 1,
    stored: bool = True,
) -> None:
    """Raise once, at the `count`-th put of such a key: after it is stored, or instead."""
    put = ObjectStore.put
    left = count

    def put_and_stop(store: ObjectStore, key: str, body: bytes, **conditions: str) -> str:
        nonlocal left
        left -= key.endswith(suffix)
        stops = key.endswith(suffix) and left == 0
        if stops and not stored:
            raise error
        etag = put(store, key, body, **conditions)
        if stops:
            raise error
        return etag

    monkeypatch.setattr(ObjectStore, "put", put_and_stop)


@pytest.mark.parametrize("overwriting", [False, True])
def test_a_stop_after_the_manifest_is_stored_deletes_nothing(
    buckets: Buckets,
    monkeypatch: pytest.MonkeyPatch,
    overwriting: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    it = opened(buckets)
    if overwriting:
        save(again(it, buckets, owner="an earlier run"), quiet)
        it = again(it, buckets)
    stop_at(monkeypatch, ".manifest.json", SystemExit(143))
    with pytest.raises(SystemExit):
        save(it, quiet)
    monkeypatch.undo()
    assert isinstance(save(again(it, buckets), quiet), Skipped)
    assert_whole(buckets, it)
    assert "out.zarr.claim.json" not in buckets.output_keys()


@pytest.mark.parametrize("error", [SystemExit(143), TransientFault("S3", "503")])
def test_a_stop_before_the_old_manifest_is_deleted_leaves_the_old_output(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    it = opened(buckets)
    save(again(it, buckets, owner="an earlier run"), quiet)
    before = buckets.output.list("")

    fence = S3Claim.fence
    fences: list[S3Claim] = []

    def stop(claim: S3Claim) -> None:
        fences.append(claim)
        if len(fences) == 1:
            raise error
        fence(claim)

    monkeypatch.setattr(S3Claim, "fence", stop)
    with pytest.raises(type(error)):
        save(again(it, buckets), quiet)
    monkeypatch.undo()
    assert {
        key: entry
        for key, entry in buckets.output.list("").items()
        if not key.endswith(".claim.json")
    } == before
    assert_whole(buckets, it)
    assert isinstance(save(again(it, buckets), quiet), Published)
    assert_whole(buckets, it)


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_a_manifest_without_its_output_is_not_valid(buckets: Buckets, output_type: str) -> None:
    folder = f"s3://{buckets.output.bucket}/folder"
    it = opened(buckets, output_type=output_type, output_path=folder, overwrite=False)
    save(it, quiet)
    whole = buckets.output_keys()
    buckets.output.delete(key for key in whole if not key.endswith(".manifest.json"))
    done = save(
        opened(buckets, output_type=output_type, output_path=folder, overwrite=False), quiet
    )
    assert isinstance(done, Published)
    assert buckets.output_keys() == whole


def test_an_invalid_manifest_is_replaced(buckets: Buckets) -> None:
    buckets.output.put("out.zarr.manifest.json", b"{}")
    it = opened(buckets, overwrite=False)
    assert isinstance(save(it, quiet), Published)
    assert_whole(buckets, it)


@pytest.mark.parametrize("next_owner", ["this run", "another run"])
@pytest.mark.parametrize("suffix", ["/c/0/0", ".manifest.json"], ids=["hidden", "opened"])
def test_a_reader_of_the_old_is_not_deceived_by_the_retry_of_a_failed_overwrite(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, suffix: str, next_owner: str
) -> None:
    it = opened(buckets)
    save(again(it, buckets, owner="an earlier run"), quiet)
    old = tree(buckets)
    retried = [again(it, buckets), again(it, buckets, next_owner)]
    for attempt in retried:
        with monkeypatch.context() as patch:
            stop_at(patch, suffix, TransientFault("S3", "503"), stored=False)
            with pytest.raises(TransientFault, match="503"):
                save(attempt, quiet)
        # The claim stays, because it has the codec family for the next run.
        left = buckets.output_keys()
        assert "out.zarr.claim.json" in left
        assert ("out.zarr/zarr.json" in left) == (suffix == ".manifest.json")
    assert isinstance(save(again(it, buckets, next_owner), quiet), Published)
    assert_whole(buckets, it)
    assert "out.zarr.claim.json" not in buckets.output_keys()
    for name in ("backscatter_r", "sample_interval", "frequency_nominal"):
        with pytest.raises(Exception, match=r".+"):
            _ = old["Sonar/Beam_group1"][name].values


def test_a_run_that_takes_over_a_claim_keeps_its_codec_family(buckets: Buckets) -> None:
    it = opened(buckets)
    save(again(it, buckets, owner="an earlier run"), quiet)
    old = tree(buckets)
    claim = S3Claim(
        buckets.output, "out.zarr.claim.json", output="out.zarr", owner="this run", source={}
    )
    # A run was killed after it deleted the old root, and its next owner before it wrote the family.
    claim.__enter__().store_codec_family(1)
    buckets.output.delete([key for key in buckets.output_keys() if "claim" not in key])
    next_owner = S3Claim(
        buckets.output, "out.zarr.claim.json", output="out.zarr", owner="this run", source={}
    ).__enter__()
    stored = buckets.output.get("out.zarr.claim.json")
    assert stored is not None
    assert json.loads(stored.body)["codec_family"] == 1
    assert isinstance(save(again(it, buckets), quiet), Published)
    for dead in (claim, next_owner):
        dead.__exit__(None, None, None)
    with pytest.raises(Exception, match=r".+"):
        _ = old["Sonar/Beam_group1"]["backscatter_r"].values

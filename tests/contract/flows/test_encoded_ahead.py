"""A new output is encoded while its claim is taken: what that changes for no other run or reader."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flows.conversion import OpenedRaw, open_raw, save
from flows.core.outcomes import InvalidParameters, OutputClaimed
from flows.core.source_version import SourceVersion
from flows.encoding.codec_families import codec_family_of
from flows.encoding.encoded_chunks import EncodedObject
from flows.encoding.zarr_layers import is_metadata, layers_of
from flows.publishing.claims import S3Claim
from flows.publishing.publication import Published
from flows.stores.object_store import ObjectStore
from tests.contract.flows.conftest import Buckets
from tests.contract.flows.few_arrays import with_few_arrays

EK80 = "ek80/-1519668699940320059.raw"


def quiet(_stage: str, _fraction: float) -> None:
    pass


def opened(buckets: Buckets, **changes: Any) -> OpenedRaw:
    buckets.upload("ek80.raw", EK80)
    found = open_raw(buckets.request("ek80.raw", sonar_model="EK80", **changes), quiet)
    assert isinstance(found, OpenedRaw)
    return with_few_arrays(found)


def stored(buckets: Buckets) -> Mapping[str, bytes]:
    """The store's objects by key."""
    found = {key: buckets.output.get(key) for key in buckets.output.list("out.zarr/")}
    return {key: each.body for key, each in found.items() if each is not None}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_metadata_follows_what_it_opens(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, zarr_format: int
) -> None:
    put = ObjectStore.put
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}

    def slow_put(store: ObjectStore, key: str, body: bytes, **conditions: str) -> str:
        begun[key] = time.monotonic()
        time.sleep(random.uniform(0, 0.2))
        etag = put(store, key, body, **conditions)
        ended[key] = time.monotonic()
        return etag

    monkeypatch.setattr(ObjectStore, "put", slow_put)
    assert isinstance(save(opened(buckets, zarr_format=zarr_format), quiet), Published)
    objects = stored(buckets)
    layers = layers_of({key.removeprefix("out.zarr/"): body for key, body in objects.items()})
    arrays, groups, root = (
        {f"out.zarr/{key}" for key in layer}
        for layer in (layers.arrays, layers.groups, layers.root)
    )
    chunks = {key for key in arrays if not is_metadata(key)}
    assert chunks
    for key in arrays - chunks:
        own = [chunk for chunk in chunks if chunk.startswith(f"{key.rpartition('/')[0]}/")]
        assert all(ended[chunk] <= begun[key] for chunk in own)
    assert max(ended[key] for key in arrays) <= min(begun[key] for key in groups)
    assert max(ended[key] for key in groups) <= min(begun[key] for key in root)
    assert max(ended[key] for key in root) <= begun["out.zarr.manifest.json"]


def endless(_echodata: Any, put: Callable[[EncodedObject], None], **_: Any) -> dict[str, bytes]:
    while True:
        put(EncodedObject("c/0", bytes(2**20), keep=False))


def failing(*_: Any, **_options: Any) -> dict[str, bytes]:
    raise ValueError("cannot be encoded")


@pytest.mark.parametrize("encode", [endless, failing])
def test_a_run_without_the_claim_puts_nothing_and_encodes_no_more(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, encode: Any
) -> None:
    it = opened(buckets)
    monkeypatch.setattr("flows.saving.stream_zarr", encode)
    claim = S3Claim(
        buckets.output, "out.zarr.claim.json", output="out.zarr", owner="other", source={}
    )
    with claim:
        threads = threading.active_count()
        with pytest.raises(OutputClaimed):
            save(it, quiet)
        assert threading.active_count() == threads
        assert buckets.output_keys() == {"out.zarr.claim.json"}


def test_what_the_encoder_raises_before_the_claim_is_taken_ends_the_run(buckets: Buckets) -> None:
    it = opened(buckets)
    it.request = it.request.model_copy(update={"chunks": {"nowhere": 4}})
    with pytest.raises(InvalidParameters, match="nowhere"):
        save(it, quiet)
    assert buckets.output_keys() == set()


def test_an_output_that_was_published_meanwhile_is_replaced_in_the_other_codec_family(
    buckets: Buckets,
) -> None:
    it = opened(buckets, overwrite=True)
    earlier = dataclasses.replace(
        it, source=dataclasses.replace(it.source, version=SourceVersion("earlier"))
    )
    assert isinstance(save(earlier, quiet), Published)
    done = save(it, quiet)
    assert isinstance(done, Published)
    assert done.manifest["output"]["codec_family"] == 1
    objects = {key.removeprefix("out.zarr/"): body for key, body in stored(buckets).items()}
    assert codec_family_of(objects["zarr.json"]) == 1
    assert len(objects) == done.manifest["output"]["objects"]


def test_where_remains_are_every_chunk_is_written(buckets: Buckets) -> None:
    """Readers may have the metadata of what was there: a missing chunk would read as fill value."""
    it = opened(buckets)
    new = save(it, quiet)
    assert isinstance(new, Published)
    buckets.output.delete(key for key in buckets.output_keys() if not key.endswith("/c/0/0/0"))
    assert buckets.output_keys()
    done = save(it, quiet)
    assert isinstance(done, Published)
    assert done.manifest["output"]["objects"] > new.manifest["output"]["objects"]
    assert len(stored(buckets)) == done.manifest["output"]["objects"]


def test_an_overwrite_that_cannot_be_encoded_leaves_the_old_output(buckets: Buckets) -> None:
    def published() -> dict[str, Any]:
        # The claim stays, without a lease, because it has the codec family that was chosen.
        keys = [key for key in buckets.output.list("out.zarr") if key != "out.zarr.claim.json"]
        return {key: buckets.output.get(key) for key in keys}

    assert isinstance(save(opened(buckets), quiet), Published)
    before = published()
    assert "out.zarr.manifest.json" in before
    wrong = opened(buckets, overwrite=True, chunks={"ping_tiem": 10})
    with pytest.raises(InvalidParameters, match="ping_tiem"):
        save(wrong, quiet)
    assert published() == before

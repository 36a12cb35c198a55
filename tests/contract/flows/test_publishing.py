"""Tests of publishing to S3, with moto."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from flows.conversion import convert, open_raw, save
from flows.core.outcomes import (
    BadFile,
    ClaimLost,
    OutputClaimed,
    OutputConflict,
    OutputMismatch,
    SourceChanged,
)
from flows.encoding.codec_families import codec_family_of
from flows.encoding.written_store import Digest
from flows.publishing.claims import S3Claim
from flows.publishing.identity import differences
from flows.publishing.manifest import read_manifest
from flows.publishing.publication import Published, Skipped
from flows.publishing.zarr_verification import ZarrVerification, compare_listing
from flows.rawfile.echopype_reader import import_echopype
from flows.rawfile.samples import PingSamples
from flows.stores.object_store import ObjectEntry, ObjectStore, StoredObject
from sandbox.parts.waiting import wait_until
from tests.contract.flows.conftest import EK60, Buckets

EK80 = "ek80/-1519668699940320059.raw"


def quiet(_stage: str, _fraction: float) -> None:
    pass


def opened_from_s3(buckets: Buckets, key: str = "out.zarr") -> Any:
    fs = {"endpoint_url": f"http://127.0.0.1:{buckets.port}", "key": "test", "secret": "test"}
    return import_echopype().open_converted(
        f"s3://{buckets.output.bucket}/{key}", storage_options=fs
    )


def test_a_published_store_opens_through_echopype_as_the_parser_gave_it(buckets: Buckets) -> None:
    buckets.upload("a b/ek60?#%2B.raw", EK60)
    opened = open_raw(buckets.request("a b/ek60?#%2B.raw"), quiet)
    assert not isinstance(opened, Skipped)
    done = save(opened, quiet)
    assert isinstance(done, Published)
    assert differences(opened.echodata, opened_from_s3(buckets)) == []
    source = opened.echodata["Provenance"]["source_filenames"].values
    assert source == [f"s3://{buckets.inbox.bucket}/a b/ek60?#%2B.raw"]


@pytest.mark.parametrize(
    "way",
    [
        pytest.param({"compact": False}, id="echopype's encoding"),
        pytest.param({"zarr_format": 2, "chunks": {"ping_time": 4}}, id="format 2, chunks"),
        pytest.param({"compact": False, "output_type": "netcdf"}, id="echopype's netCDF"),
    ],
)
def test_every_way_of_encoding_arrives_as_the_parser_gave_it_and_gives_way(
    buckets: Buckets, tmp_path: Path, way: dict[str, Any]
) -> None:
    buckets.upload("ek80.raw", EK80)
    is_zarr = way.get("output_type") != "netcdf"
    path = f"s3://{buckets.output.bucket}/out.{'zarr' if is_zarr else 'nc'}"
    common: dict[str, Any] = {"sonar_model": "EK80", "output_path": path, "overwrite": True}
    if is_zarr:
        # Overwrites a store with the other format, other chunks and other codecs.
        buckets.convert("ek80.raw", owner="before", **common)
    opened = open_raw(buckets.request("ek80.raw", verify="full", **{**common, **way}), quiet)
    assert not isinstance(opened, Skipped)
    done = save(opened, quiet)
    assert isinstance(done, Published)
    output = done.manifest["output"]
    wanted = {name: value for name, value in way.items() if name in output}
    assert {name: output[name] for name in wanted} == wanted
    if is_zarr:
        tree = opened_from_s3(buckets)._tree
        chunks = tree["Sonar/Beam_group1"]["backscatter_r"].encoding["chunks"]
        assert "chunks" not in way or chunks[1] == 4
        assert len(buckets.output.list("out.zarr/")) == output["objects"]
    else:
        found = buckets.output.get("out.nc")
        assert found is not None
        (tmp_path / "found.nc").write_bytes(found.body)
        tree = xr.open_datatree(tmp_path / "found.nc", engine="netcdf4", chunks=None)
    assert differences(opened.echodata, tree, string_widths=is_zarr) == []
    # The next run recognizes its manifest.
    without_overwrite = {**common, **way, "overwrite": False}
    assert isinstance(buckets.convert("ek80.raw", **without_overwrite), Skipped)


@pytest.mark.parametrize(("folder", "stem"), [("sub folder", "ek60"), ("sub\\folder", "ek\\60")])
def test_a_netcdf_output_arrives_whole(
    folder: str, stem: str, buckets: Buckets, tmp_path: Path
) -> None:
    buckets.upload(f"{stem}.raw", EK60)
    request = buckets.request(
        f"{stem}.raw", output_type="netcdf", output_path=f"s3://{buckets.output.bucket}/{folder}"
    )
    opened = open_raw(request, quiet)
    assert not isinstance(opened, Skipped)
    done = save(opened, quiet)
    assert isinstance(done, Published)
    key = f"{folder}/{stem}.nc"
    assert buckets.output_keys() == {key, f"{key}.manifest.json"}
    found = buckets.output.get(key)
    assert found is not None
    (tmp_path / "found.nc").write_bytes(found.body)
    tree = xr.open_datatree(tmp_path / "found.nc", engine="netcdf4", chunks=None)
    assert differences(opened.echodata, tree, string_widths=False) == []


def test_the_manifest_says_what_lies_there(buckets: Buckets) -> None:
    etag = buckets.upload("ek60.raw", EK60)
    buckets.upload("ek60.BOT", "ek60/D20070724-T042400.bot")
    done = buckets.convert(source_etag=f'"{etag}"', sonar_model_source="header")
    assert isinstance(done, Published)
    stored = buckets.output.get("out.zarr.manifest.json")
    assert stored is not None
    manifest = read_manifest(stored.body, "manifest")
    assert manifest == done.manifest
    objects = buckets.output.list("out.zarr/")
    assert manifest["output"]["objects"] == len(objects)
    assert manifest["output"]["bytes"] == sum(entry.size for entry in objects.values())
    assert manifest["source"]["etag"] == etag
    assert [sidecar["uri"] for sidecar in manifest["sidecars"]] == [
        f"s3://{buckets.inbox.bucket}/ek60.BOT"
    ]
    assert manifest["contents"]["pings"] == {"Sonar/Beam_group1": 36}
    assert buckets.output_keys() == {*objects, "out.zarr.manifest.json"}


def test_a_published_version_is_not_converted_again(buckets: Buckets) -> None:
    buckets.upload("ek60.raw", EK60)
    assert isinstance(buckets.convert(), Published)
    before = buckets.output.list("")
    skipped = buckets.convert()
    assert isinstance(skipped, Skipped)
    assert skipped.output == f"s3://{buckets.output.bucket}/out.zarr"
    assert buckets.output.list("") == before


def test_a_notified_version_that_is_published_is_skipped_unless_it_was_replaced(
    buckets: Buckets,
) -> None:
    wish: dict[str, Any] = {"overwrite": True, "skip_published": True}
    etag = buckets.upload("ek60.raw", EK60)
    assert isinstance(buckets.convert(source_etag=etag), Published)
    before = buckets.output.list("")
    assert isinstance(buckets.convert(source_etag=etag, **wish), Skipped)
    assert buckets.output.list("") == before
    body = (buckets.real_data / EK60).read_bytes()
    assert isinstance(
        buckets.convert(
            source_etag=buckets.upload("ek60.raw", body[:-1]), allow_partial=True, **wish
        ),
        Published,
    )


def test_another_version_does_not_replace_it_without_overwrite(buckets: Buckets) -> None:
    buckets.upload("ek60.raw", EK60)
    buckets.convert()
    before = buckets.output.list("")
    buckets.upload("other.raw", EK60)
    with pytest.raises(OutputConflict, match=r"other\.raw.*overwrite is off"):
        buckets.convert("other.raw")
    assert buckets.output.list("") == before


def test_an_overwrite_changes_the_codecs_and_leaves_nothing_of_the_old(buckets: Buckets) -> None:
    buckets.upload("ek80.raw", EK80)
    buckets.convert("ek80.raw", sonar_model="EK80")
    first = buckets.output.get("out.zarr/zarr.json")
    buckets.output.put("out.zarr/Sonar/Old/c/0", b"left over")
    buckets.output.put("out.zarr/Sonar/Old/zarr.json", b"{}")
    buckets.upload("ek60.raw", EK60)
    done = buckets.convert("ek60.raw", overwrite=True)
    second = buckets.output.get("out.zarr/zarr.json")
    assert isinstance(done, Published)
    assert first is not None
    assert second is not None
    assert codec_family_of(first.body) != codec_family_of(second.body)
    assert len(buckets.output.list("out.zarr/")) == done.manifest["output"]["objects"]
    assert done.manifest["output"]["codec_family"] == codec_family_of(second.body)
    assert opened_from_s3(buckets).sonar_model == "EK60"


@pytest.mark.parametrize("before", ["nothing", "an output", "a stray object"])
def test_only_a_new_output_leaves_chunks_out(buckets: Buckets, before: str) -> None:
    """A reader with older metadata would take a missing chunk for fill values."""
    buckets.upload("ek60.raw", EK60)
    if before == "an output":
        buckets.convert()
    elif before == "a stray object":
        buckets.output.put("out.zarr/stray", b"x")
    buckets.convert(overwrite=True)
    keys = [key.removeprefix("out.zarr/") for key in buckets.output.list("out.zarr/")]
    with_chunks = {key.partition("/c/")[0].removesuffix("/c") for key in keys if "/c/" in key}
    with_chunks |= {key.removesuffix("/c") for key in keys if key.endswith("/c")}
    root = buckets.output.get("out.zarr/zarr.json")
    assert root is not None
    documents = json.loads(root.body)["consolidated_metadata"]["metadata"]
    arrays = {path for path, each in documents.items() if each["node_type"] == "array"}
    assert (with_chunks == arrays) is (before != "nothing")


def test_what_has_no_manifest_is_garbage(buckets: Buckets) -> None:
    buckets.upload("ek60.raw", EK60)
    buckets.convert()
    buckets.output.delete(["out.zarr.manifest.json", "out.zarr/Sonar/zarr.json"])
    buckets.output.put("out.zarr/stray", b"x")
    done = buckets.convert()
    assert isinstance(done, Published)
    assert len(buckets.output.list("out.zarr/")) == done.manifest["output"]["objects"]


def test_a_superseded_version_is_skipped_before_it_is_read(buckets: Buckets) -> None:
    etag = buckets.upload("ek60.raw", b"first")
    buckets.upload("ek60.raw", EK60)
    skipped = buckets.convert(source_etag=etag, overwrite=True)
    assert isinstance(skipped, Skipped)
    assert "superseded by a newer upload" in skipped.reason
    assert buckets.output_keys() == set()


@pytest.mark.parametrize("overwriting", [False, True])
def test_a_source_replaced_while_publishing_leaves_nothing_openable(
    buckets: Buckets,
    overwriting: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    etag = buckets.upload("ek60.raw", EK60)
    if overwriting:
        buckets.convert()
    opened = open_raw(buckets.request(source_etag=etag, overwrite=True), quiet)
    assert not isinstance(opened, Skipped)

    def replace_when_publishing(stage: str, fraction: float) -> None:
        if stage == "publish" and fraction > 0.5:
            buckets.upload("ek60.raw", b"a newer upload")

    skipped = save(opened, replace_when_publishing)
    assert isinstance(skipped, Skipped)
    assert "superseded" in skipped.reason
    # The codec family that readers may still have is stored for the next run.
    assert buckets.output_keys() == ({"out.zarr.claim.json"} if overwriting else set())


def test_a_source_replaced_between_two_ranges_is_no_mix(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.stores.download.PART_BYTES", 500_000)
    buckets.upload("ek60.raw", EK60)
    raw = (buckets.real_data / EK60).read_bytes()

    def replace(stage: str, fraction: float) -> None:
        if stage == "fetch" and 0.1 < fraction < 0.5:
            buckets.upload("ek60.raw", raw[::-1])

    with pytest.raises(SourceChanged, match=r"ek60\.raw"):
        convert(buckets.request(), replace)
    assert buckets.output_keys() == set()


def test_large_files_come_in_ranges_and_arrive_whole(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.stores.download.PART_BYTES", 100_003)
    buckets.upload("ek60.raw", EK60)
    opened = open_raw(buckets.request(), quiet)
    assert not isinstance(opened, Skipped)
    assert opened.source.sha256.startswith("19219ea3c95f672b")


@pytest.mark.parametrize("name", ["a::b.raw", "a b?#%2F+é.raw", f"{'x' * 400}.raw"])
def test_a_file_is_converted_whatever_its_key(buckets: Buckets, name: str) -> None:
    buckets.upload(f"cruise/{name}", EK80)
    done = buckets.convert(f"cruise/{name}", sonar_model="EK80")
    assert isinstance(done, Published)
    assert done.manifest["source"]["uri"] == f"s3://{buckets.inbox.bucket}/cruise/{name}"


def test_a_missing_file_and_an_empty_file_are_named(buckets: Buckets) -> None:
    with pytest.raises(BadFile, match=r"ek60\.raw: the file does not exist"):
        buckets.convert()
    buckets.upload("ek60.raw", b"")
    with pytest.raises(BadFile, match=r"ek60\.raw"):
        buckets.convert()


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_an_output_that_reads_back_differently_is_deleted(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, output_type: str
) -> None:
    buckets.upload("ek60.raw", EK60)
    put = ObjectStore.put

    def spoil(store: ObjectStore, key: str, body: bytes, **conditions: str) -> str:
        if key.endswith(("backscatter_r/c/0/0/0", ".nc")):
            put(store, key, body, **conditions)
            return put(store, key, body[:-1] + bytes([body[-1] ^ 1]))
        return put(store, key, body, **conditions)

    monkeypatch.setattr(ObjectStore, "put", spoil)
    with pytest.raises(OutputMismatch, match=r"backscatter_r|out\.nc"):
        buckets.convert(
            output_type=output_type,
            output_path=f"s3://{buckets.output.bucket}/out.{'nc' if output_type == 'netcdf' else 'zarr'}",
        )
    assert buckets.output_keys() == set()


def test_an_encoding_that_lost_a_bit_is_found_by_reading_it_back(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets.upload("ek60.raw", EK60)
    opened = open_raw(buckets.request(), quiet)
    assert not isinstance(opened, Skipped)
    packed = PingSamples.packed

    def one_step_more(samples: PingSamples, region: Any, packing: Any) -> Any:
        stored = packed(samples, region, packing)
        stored[0, 0, 0] += 1
        return stored

    monkeypatch.setattr(PingSamples, "packed", one_step_more)
    with pytest.raises(OutputMismatch, match="backscatter_r"):
        save(opened, quiet)
    assert buckets.output_keys() == set()


def test_full_verification_reads_every_object(buckets: Buckets) -> None:
    buckets.upload("ek80.raw", EK80)
    done = buckets.convert("ek80.raw", sonar_model="EK80", verify="full")
    assert isinstance(done, Published)
    result = done.manifest["verification"]
    assert result["objects_read"] == result["objects_listed"] == done.manifest["output"]["objects"]


def test_an_output_costs_few_requests_beyond_its_objects(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets.upload("ek60.raw", EK60)
    client = buckets.inbox.client
    seen: list[str] = []

    def count(request: Any, **_: Any) -> None:
        seen.append(f"{request.method} {request.url}")

    client.meta.events.register("before-send.s3", count)
    try:
        done = buckets.convert()
    finally:
        client.meta.events.unregister("before-send.s3", count)
    assert isinstance(done, Published)
    assert len(seen) <= done.manifest["output"]["objects"] + 30
    assert not any("100-continue" in line for line in seen)


class TestClaims:
    def claim(self, buckets: Buckets, owner: str, **changes: Any) -> S3Claim:
        return S3Claim(
            buckets.output,
            "out.zarr.claim.json",
            output="out.zarr",
            owner=owner,
            source={},
            **changes,
        )

    def test_one_of_two_runs_publishes_at_a_time(self, buckets: Buckets) -> None:
        with (
            self.claim(buckets, "first"),
            pytest.raises(OutputClaimed, match="first"),
            self.claim(buckets, "second"),
        ):
            pass
        assert buckets.output_keys() == set()

    def test_a_run_that_is_run_again_takes_its_own_claim_over(self, buckets: Buckets) -> None:
        dead = self.claim(buckets, "run").__enter__()
        with self.claim(buckets, "run") as again:
            assert again.previous is not None
            with pytest.raises(ClaimLost):
                dead.fence()
        dead.__exit__(None, None, None)
        assert buckets.output_keys() == set()

    def test_a_claim_that_is_not_renewed_expires_by_the_stores_clock(
        self, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.claim(buckets, "dead") as dead:
            get = ObjectStore.get

            def an_hour_later(store: ObjectStore, key: str) -> StoredObject | None:
                found = get(store, key)
                return found and StoredObject(
                    found.body,
                    found.etag,
                    found.last_modified,
                    found.store_time + timedelta(hours=1),
                )

            monkeypatch.setattr(ObjectStore, "get", an_hour_later)
            with self.claim(buckets, "next_owner") as next_owner:
                next_owner.fence()
                with pytest.raises(ClaimLost):
                    dead.store_codec_family(1)
                with pytest.raises(ClaimLost):
                    dead.check()

    def test_a_held_claim_is_renewed_while_its_run_lives(self, buckets: Buckets) -> None:
        def written() -> datetime:
            stored = buckets.output.get("out.zarr.claim.json")
            assert stored is not None
            return stored.last_modified

        with self.claim(buckets, "run", lease_seconds=6.0) as claim:
            first = written()
            wait_until(lambda: written() != first, 60, "the claim to be renewed")
            claim.check()

    @pytest.mark.parametrize("reads_back", [True, False], ids=["as it was put", "otherwise"])
    def test_a_claim_lost_while_reading_back_ends_the_run(
        self,
        buckets: Buckets,
        monkeypatch: pytest.MonkeyPatch,
        reads_back: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        """The output belongs to the claim's next owner: it is not a mismatch of this run."""
        buckets.upload("ek80.raw", EK80)
        opened = open_raw(buckets.request("ek80.raw", sonar_model="EK80"), quiet)
        assert not isinstance(opened, Skipped)
        read_back = ZarrVerification.read_back

        def lose_the_claim(*arguments: Any, **named: Any) -> Any:
            result = read_back(*arguments, **named)
            buckets.output.put("out.zarr.claim.json", b'{"owner": "next_owner"}')
            if not reads_back:
                raise OutputMismatch("out.zarr", "a chunk of the next owner's")
            return result

        monkeypatch.setattr(ZarrVerification, "read_back", lose_the_claim)
        with pytest.raises(ClaimLost):
            save(opened, quiet)
        keys = buckets.output_keys()
        assert "out.zarr.manifest.json" not in keys
        # The run must not delete the next owner's objects.
        assert "out.zarr/zarr.json" in keys

    def test_the_loser_finds_its_version_published_and_skips(self, buckets: Buckets) -> None:
        buckets.upload("ek80.raw", EK80)
        request = buckets.request("ek80.raw", sonar_model="EK80", overwrite=True)
        loser = open_raw(request, quiet)
        assert not isinstance(loser, Skipped)
        assert isinstance(
            buckets.convert("ek80.raw", sonar_model="EK80", overwrite=True), Published
        )
        before = buckets.output.list("")
        skipped = save(loser, quiet)
        assert isinstance(skipped, Skipped)
        assert "already published" in skipped.reason
        assert buckets.output.list("") == before

    def test_two_runs_at_once_come_to_one_output_and_two_named_ends(
        self, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The waits are short here, so the loser may end before the winner.
        monkeypatch.setattr("flows.core.transient_faults.ATTEMPTS", 200)
        buckets.upload("ek80.raw", EK80)
        ends: list[Published | Skipped] = []

        def run() -> None:
            ends.append(buckets.convert("ek80.raw", sonar_model="EK80", overwrite=True))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(end).__name__ for end in ends) == ["Published", "Skipped"]
        stored = buckets.output.get("out.zarr.manifest.json")
        assert stored is not None
        published = next(end for end in ends if isinstance(end, Published))
        assert json.loads(stored.body) == published.manifest


def test_the_listing_is_compared_key_by_key() -> None:
    listed = {"a": ObjectEntry(1, "tag")}
    one, two, none = (Digest(size, "0" * 64) for size in (1, 2, 0))
    compare_listing("out", {"a": one}, {"a": "tag"}, listed, set())
    for written, etags, words in (
        ({"a": one, "b": none}, {}, "1 objects are missing, the first b"),
        ({}, {}, "unexpected objects"),
        ({"a": two}, {}, "has 1 bytes, but 2 were put"),
        ({"a": one}, {"a": "other"}, "entity tag"),
    ):
        with pytest.raises(OutputMismatch, match=words):
            compare_listing("out", written, etags, listed, set())

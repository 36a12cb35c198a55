"""Readers that open and read in a loop while an output is overwritten never read mixed data."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from flows.conversion import convert, open_raw
from flows.publishing.publication import Published, Skipped
from tests.contract.flows.conftest import EK60, Buckets, options_for


def _read(buckets: Buckets) -> dict[str, Any]:
    options = {k: v for k, v in options_for(buckets.port).items() if k != "config_kwargs"}
    with xr.open_datatree(
        f"s3://{buckets.output.bucket}/out.zarr",
        engine="zarr",
        chunks=None,
        storage_options={**options, "skip_instance_cache": True, "use_listings_cache": False},
    ) as tree:
        beam = tree["Sonar/Beam_group1"].to_dataset()
        source = str(tree["Provenance"].to_dataset()["source_filenames"].values[0])
        names = ("ping_time", "sample_interval", "backscatter_r", "angle_alongship")
        return {"source": source, **{name: beam[name].values for name in names}}


def read_whole(seen: list[str], name: str) -> None:
    """Wait until a reader has read it completely, even on a busy machine."""
    before = len(seen)
    deadline = time.monotonic() + 120
    while not any(source.endswith(name) for source in seen[before:]):
        assert time.monotonic() < deadline, seen[before:]
        time.sleep(0.02)


def test_a_reader_sees_the_old_or_the_new_or_an_error(buckets: Buckets, tmp_path: Path) -> None:
    raw = (buckets.real_data / EK60).read_bytes()
    # The same file without its last pings: other values under the same keys.
    opened = {}
    for name, body in (("long.raw", raw), ("short.raw", _without_last_pings(raw, tmp_path))):
        buckets.upload(name, body)
        it = open_raw(buckets.request(name), lambda *_: None)
        assert not isinstance(it, Skipped)
        uri = f"s3://{buckets.inbox.bucket}/{name}"
        beam = it.echodata["Sonar/Beam_group1"]
        opened[uri] = {
            name: beam[name].values
            for name in ("ping_time", "sample_interval", "backscatter_r", "angle_alongship")
        }
    convert(buckets.request("long.raw"))
    over = threading.Event()
    seen: list[str] = []
    mixed: list[str] = []

    def read_on() -> None:
        while not over.is_set():
            try:
                found = _read(buckets)
            # A reader during the overwrite may fail in any way, but must not read wrong data.
            except Exception:  # noqa: BLE001
                seen.append("error")
                continue
            seen.append(found["source"])
            mixed.extend(
                f"{name} of {found['source']}"
                for name, values in opened[found["source"]].items()
                if not np.array_equal(values, found[name], equal_nan=values.dtype.kind == "f")
            )

    readers = [threading.Thread(target=read_on) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        read_whole(seen, "long.raw")
        for name in ("short.raw", "long.raw"):
            assert isinstance(convert(buckets.request(name, overwrite=True)), Published)
            read_whole(seen, name)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert mixed == []


@pytest.mark.parametrize("shrinking", [True, False])
def test_a_reader_that_opened_the_old_store_gets_an_error_not_a_mix(
    buckets: Buckets,
    tmp_path: Path,
    shrinking: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    raw = (buckets.real_data / EK60).read_bytes()
    buckets.upload("long.raw", raw)
    buckets.upload("short.raw", _without_last_pings(raw, tmp_path))
    first, second = ("long.raw", "short.raw") if shrinking else ("short.raw", "long.raw")
    convert(buckets.request(first))
    options = {k: v for k, v in options_for(buckets.port).items() if k != "config_kwargs"}
    old = xr.open_datatree(
        f"s3://{buckets.output.bucket}/out.zarr",
        engine="zarr",
        chunks=None,
        storage_options={**options, "skip_instance_cache": True},
    )
    convert(buckets.request(second, overwrite=True))
    for name in ("backscatter_r", "sample_interval", "beam_type"):
        with pytest.raises(Exception, match=r".+"):
            _ = old["Sonar/Beam_group1"][name].values


def _without_last_pings(raw: bytes, folder: Path) -> bytes:
    """The file up to the third part of its datagrams."""
    from flows.walk.simrad.framing import Datagram, datagrams  # noqa: PLC0415 - of this alone

    path = folder / "whole.raw"
    path.write_bytes(raw)
    with path.open("rb") as file:
        starts = [
            found.offset
            for found in datagrams(file.fileno(), len(raw))
            if isinstance(found, Datagram)
        ]
    return raw[: starts[2 * len(starts) // 3]]

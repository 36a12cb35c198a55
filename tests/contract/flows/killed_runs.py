"""Kill a publishing process at chosen requests, and see what it left and how a retry fares.

A program of its own: it parses the file once and forks for every kill, which in
a test process full of threads would not be safe.

    python -m tests.contract.flows.killed_runs PORT INBOX OUTPUT RAW
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from flows import s3_publishing
from flows.conversion import OpenedRaw, open_raw
from flows.identity import differences
from flows.locations import S3Location
from flows.manifest import read_manifest
from flows.object_store import ObjectStore
from flows.publication import Skipped
from flows.request import ConversionRequest
from flows.s3_client import _client, s3_client
from flows.saving import publish_order
from flows.transient_faults import retrying
from tests.contract.flows.conftest import options_for

# Name -> whether this request, the n-th of its kind from 0, is the one before
# which the process dies. `path` is the object's key, or the query of a bucket's.
KILL_POINTS: dict[str, Callable[[str, str, int], bool]] = {
    "before it has the claim": lambda m, p, _: m == "PUT" and p.endswith(".claim.json"),
    "before the old manifest goes": lambda m, p, _: m == "DELETE" and p.endswith(".manifest.json"),
    "between manifest and root going": lambda m, p, _: m == "DELETE" and p.endswith("/zarr.json"),
    "between root and groups going": lambda m, _, __: m == "POST",
    "at the first left-over": lambda m, p, _: m == "PUT" and "/Old/" in p,
    "at the first chunk": lambda m, p, n: m == "PUT" and "/c/" in p and "/Old/" not in p and n >= 0,
    "amid the chunks": lambda m, p, n: m == "PUT" and "/c/" in p and n >= 5,
    "at the groups": lambda m, p, _: m == "PUT" and p.endswith("/Sonar/zarr.json"),
    "before the root": lambda m, p, _: m == "PUT" and p.endswith("out.zarr/zarr.json"),
    "before it reads back": lambda m, p, _: m == "GET" and p.endswith("ping_time/c/0"),
    "before left-overs are removed": lambda m, p, n: (
        (m == "POST" and n >= 1) or (m == "DELETE" and "/Old/" in p)
    ),
    "before the manifest": lambda m, p, _: m == "PUT" and p.endswith(".manifest.json"),
    "before the claim is given back": lambda m, p, _: m == "DELETE" and p.endswith(".claim.json"),
}


def forked(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run work in a child; its wait status and what it returned (None where it died)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _client.cache_clear()
        status = 1
        try:
            told = json.dumps(work()).encode()
            os.write(writing, told)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return status, json.loads(told) if told else None


def pruned(tree: xr.DataTree) -> xr.DataTree:
    """A dozen arrays of the file in its groups: each publication takes a moment."""
    beam = tree["Sonar/Beam_group1"].to_dataset()
    kept = ["backscatter_r", "sample_interval", "beam_type", "frequency_nominal"]
    return xr.DataTree.from_dict(
        {
            "/": tree.to_dataset(),
            "Provenance": tree["Provenance"].to_dataset(),
            "Sonar": tree["Sonar"].to_dataset()[["beam_group_descr"]],
            "Sonar/Beam_group1": beam[kept],
        }
    )


class Trial:
    """One opened file and the bucket it is published to."""

    def __init__(self, port: int, output: str, opened: OpenedRaw) -> None:
        self.options = options_for(port)
        self.output = output
        self.opened = opened
        self.place = S3Location(output, "out.zarr")

    def store(self) -> ObjectStore:
        return ObjectStore(s3_client(self.options), self.output)

    def publish(self, owner: str, dies: Callable[[str, str, int], bool] | None = None) -> str:
        """Publish, wait for a claim to expire where need be; the kind of end."""
        store = self.store()
        if dies is not None:
            # A chunk of an older, larger store.
            store.put("out.zarr/Sonar/Old/c/0", b"left over")
        seen: dict[str, int] = {}

        def watch(request: Any, **_: Any) -> None:
            path = request.url.split("?")[0]
            kind = request.method + ("/c/" if "/c/" in path and "/Old/" not in path else "")
            seen[kind] = seen.get(kind, -1) + 1
            if dies is not None and dies(request.method, path, seen[kind]):
                os.kill(os.getpid(), signal.SIGKILL)

        store.client.meta.events.register("before-send.s3", watch)
        opened = dataclasses.replace(
            self.opened, request=dataclasses.replace(self.opened.request, owner=owner)
        )
        published = s3_publishing.read_published(store, self.place)
        opened.manifest_at_start = published.etag if published else None
        with tempfile.TemporaryDirectory() as folder:
            order = publish_order(opened, Path(folder), lambda *_: None)
            end = retrying(
                lambda: s3_publishing.publish_to_s3(store, self.place, order, lease_seconds=1),
                attempts=60,
                base=0.1,
                longest=0.2,
            )
        return type(end).__name__

    def state(self) -> dict[str, Any]:
        """What a reader and a reconciler find."""
        store = self.store()
        keys = store.list("out.zarr/")
        manifest = store.get("out.zarr.manifest.json")
        told: dict[str, Any] = {
            "openable": "out.zarr/zarr.json" in keys,
            "manifest": manifest is not None,
            "claim": store.get("out.zarr.claim.json") is not None,
            "differences": [],
            "objects": len(keys),
            "objects_published": None,
        }
        if manifest is not None:
            published = read_manifest(manifest.body, "manifest")
            told["objects_published"] = published["output"]["objects"]
        if told["openable"]:
            options = {k: v for k, v in self.options.items() if k != "config_kwargs"}
            tree = xr.open_datatree(
                f"s3://{self.output}/out.zarr",
                engine="zarr",
                chunks=None,
                storage_options=options,
            )
            told["differences"] = list(map(str, differences(self.opened.echodata, tree)))
        return told


def main() -> None:
    """Print a JSON line for every kill point, overwriting a published output."""
    port, inbox, output, raw = sys.argv[1:]
    opened = open_raw(
        ConversionRequest(
            raw_file=f"s3://{inbox}/{raw}",
            sonar_model="EK80",
            output_path=f"s3://{output}/out.zarr",
            output_type="zarr",
            overwrite=True,
            input_storage_options=options_for(int(port)),
            output_storage_options=options_for(int(port)),
        ),
        lambda *_: None,
    )
    assert not isinstance(opened, Skipped)
    opened.echodata._set_tree(pruned(opened.echodata._tree))
    trial = Trial(int(port), output, opened)
    # Each retry leaves a published output for the next to overwrite.
    forked(lambda: trial.publish("first"))
    for number, (name, dies) in enumerate(KILL_POINTS.items()):
        status, _ = forked(partial(trial.publish, f"run {number}", dies))
        _, left = forked(trial.state)
        # Every third is run again as another flow run, which has to wait for the lease.
        heir = f"another run {number}" if number % 4 == 2 else f"run {number}"
        begun = time.monotonic()
        _, end = forked(partial(trial.publish, heir))
        _, after = forked(trial.state)
        report = {
            "point": name,
            "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
            "left": left,
            "retry": end,
            "retry_seconds": time.monotonic() - begun,
            "after": after,
        }
        print(json.dumps(report), flush=True)  # noqa: T201 - read by the test that runs this


if __name__ == "__main__":
    main()

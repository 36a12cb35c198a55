"""Stops a publishing process at chosen steps, and reports what is left and how a retry ends.

It is a separate program, because it parses the file once and forks for every trial,
which is not safe in a test process with threads. The old output, the output of the
stopped run and that of the next owner have the same shapes and different values.

    python -m tests.contract.flows.killed_runs PORT INBOX OUTPUT RAW FOLDER [STOP ...]
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr.storage
from zarr.core.buffer.cpu import Buffer

from flows.conversion import OpenedRaw, open_raw
from flows.core.locations import LocalLocation, OutputLocation, S3Location
from flows.core.termination import stopped_by_signals
from flows.core.transient_faults import retrying
from flows.publishing.identity import differences
from flows.publishing.local_publishing import FolderOutput
from flows.publishing.manifest import read_manifest
from flows.publishing.outputs import Output
from flows.publishing.publication import Skipped
from flows.publishing.s3_publishing import S3Output
from flows.saving import publish_order
from flows.stores.object_store import ObjectStore
from flows.stores.request import ConversionRequest
from flows.stores.s3_client import s3_client
from tests.contract.flows.conftest import options_for
from tests.contract.flows.few_arrays import few_arrays

# Takes method and key (or an audit event and path) and its number among its kind, from 0; returns
# whether the process is stopped before it.
Moment = Callable[[str, str, int], bool]


@dataclasses.dataclass(frozen=True)
class Stop:
    """Where a run is stopped, and by which signal; `first`: there is no old output."""

    moment: Moment
    place: Literal["s3", "disk"] = "s3"
    suffix: Literal[".zarr", ".nc"] = ".zarr"
    by: signal.Signals = signal.SIGKILL
    first: bool = False


def _request(method: str, ending: str, among: str = "") -> Moment:
    return lambda m, p, _: m == method and p.endswith(ending) and among in p


def _rename(number: int) -> Moment:
    return lambda m, _, n: m == "os.rename" and n == number


def _chunk(number: int) -> Moment:
    return lambda m, p, n: m == "PUT" and "/c/" in p and "/Old/" not in p and n >= number


_MANIFEST_GOES = _request("DELETE", ".manifest.json")
_MANIFEST_COMES = _request("PUT", ".manifest.json")
_CLAIM_GOES = _request("DELETE", ".claim.json")
_ROOT = _request("PUT", "out.zarr/zarr.json")
_TERM = signal.SIGTERM

STOPS: dict[str, Stop] = {
    "before it has the claim": Stop(_request("PUT", ".claim.json")),
    "before the old manifest goes": Stop(_MANIFEST_GOES),
    "between manifest and root going": Stop(_request("DELETE", "/zarr.json")),
    "between root and groups going": Stop(lambda m, _, __: m == "POST"),
    "at the first left-over": Stop(_request("PUT", "", "/Old/")),
    "at the first chunk": Stop(_chunk(0)),
    "amid the chunks": Stop(_chunk(7)),
    "at the groups": Stop(_request("PUT", "/Sonar/zarr.json")),
    "before the root": Stop(_ROOT),
    "before it reads back": Stop(_request("GET", "ping_time/c/0")),
    "before left-overs are removed": Stop(
        lambda m, p, n: (m == "POST" and n >= 1) or (m == "DELETE" and "/Old/" in p)
    ),
    "before the manifest": Stop(_MANIFEST_COMES),
    "before the claim is given back": Stop(_CLAIM_GOES),
    # Of a new output, arrays of one value have no chunk.
    "first, amid the chunks": Stop(_chunk(2), first=True),
    "first, before the manifest": Stop(_MANIFEST_COMES, first=True),
    "SIGTERM before the old manifest goes": Stop(_MANIFEST_GOES, by=_TERM),
    "SIGTERM amid the chunks": Stop(_chunk(7), by=_TERM),
    "SIGTERM before it reads back": Stop(_request("GET", "ping_time/c/0"), by=_TERM),
    "SIGTERM before the manifest": Stop(_MANIFEST_COMES, by=_TERM),
    "SIGTERM before the claim is given back": Stop(_CLAIM_GOES, by=_TERM),
    "at the metadata of an array": Stop(_request("PUT", "/zarr.json", "/backscatter_r")),
    "first, at the metadata of an array": Stop(
        _request("PUT", "/zarr.json", "/backscatter_r"), first=True
    ),
    # While it encodes already.
    "first, SIGTERM before it has the claim": Stop(
        _request("PUT", ".claim.json"), by=_TERM, first=True
    ),
    "file, before the old manifest goes": Stop(_MANIFEST_GOES, suffix=".nc"),
    "file, before it is put": Stop(_request("PUT", "out.nc"), suffix=".nc"),
    "file, before it is read back": Stop(_request("GET", "out.nc"), suffix=".nc"),
    "file, before the manifest": Stop(_MANIFEST_COMES, suffix=".nc"),
    "file, SIGTERM before it is put": Stop(_request("PUT", "out.nc"), suffix=".nc", by=_TERM),
    "file, SIGTERM before the manifest": Stop(_MANIFEST_COMES, suffix=".nc", by=_TERM),
    "disk, amid the writing": Stop(lambda m, _, n: m == "os.mkdir" and n == 3, "disk"),
    "disk, at the swap": Stop(_rename(0), "disk"),
    "disk, amid the swap": Stop(_rename(1), "disk"),
    "disk, before the manifest": Stop(_rename(2), "disk"),
    "disk, SIGTERM amid the swap": Stop(_rename(1), "disk", by=_TERM),
    "file on disk, before the manifest": Stop(_rename(1), "disk", ".nc"),
    "file on disk, SIGTERM before the manifest": Stop(_rename(1), "disk", ".nc", by=_TERM),
}


def forked(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run work in a child; return its wait status and its result (None if it died)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            result = json.dumps(work()).encode()
            os.write(writing, result)
            status = 0
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read()
    _, status = os.waitpid(child, 0)
    return status, json.loads(result) if result else None


def with_values(tree: xr.DataTree, number: int) -> xr.DataTree:
    """A few arrays of the file with changed values.

    Samples are rotated along the range, so that their packing stays.
    """
    few = few_arrays(tree)
    beam = few["Sonar/Beam_group1"].to_dataset()
    samples = beam["backscatter_r"]
    beam["backscatter_r"] = samples.copy(data=np.roll(samples.values, number, axis=-1))
    for name in ("sample_interval", "frequency_nominal"):
        beam[name] = beam[name].copy(data=beam[name].values + number)
    few["Sonar/Beam_group1"].dataset = beam
    return few


class Trials:
    """One opened file, its output, and versions of it by number."""

    def __init__(self, opened: OpenedRaw, options: dict[str, Any], output: OutputLocation) -> None:
        self._opened = opened
        self._output = output
        self._tree = opened.echodata._tree
        # Created here but used only in the children, so that each opens its own connections.
        self._client = s3_client(options)
        self._is_zarr = output.name.endswith(".zarr")
        self._request = opened.request.model_copy(
            update={
                "output_path": output.uri,
                "output_type": "zarr" if self._is_zarr else "netcdf",
                "output_storage_options": options,
            }
        )

    def valued(self, number: int) -> OpenedRaw:
        """The file with other values."""
        echodata = copy.copy(self._opened.echodata)
        echodata._set_tree(with_values(self._tree, number))
        return dataclasses.replace(self._opened, echodata=echodata)

    def publish(self, owner: str, number: int, stop: Stop | None = None) -> str:
        """Publish, after waiting for a claim to expire if necessary; return the outcome."""
        if stop is not None:
            self._install(stop)
        request = self._request.model_copy(update={"owner": owner, "run": {"image": str(number)}})
        published = self._place().published()
        opened = dataclasses.replace(
            self.valued(number),
            request=request,
            manifest_at_start=published.etag if published else None,
        )
        with stopped_by_signals(), tempfile.TemporaryDirectory() as folder:
            order = publish_order(opened, Path(folder), lambda *_: None)
            end = retrying(lambda: self._place().publish(order), attempts=60, base=0.1, longest=0.2)
        return type(end).__name__

    def _place(self) -> Output:
        if isinstance(self._output, LocalLocation):
            return FolderOutput(self._output)
        return S3Output(self._store(), self._output, lease_seconds=1)

    def _install(self, stop: Stop) -> None:
        seen: dict[str, int] = {}
        over: list[str] = []

        def look(kind: str, path: str) -> None:
            of = kind + ("/c/" if "/c/" in path and "/Old/" not in path else "")
            seen[of] = seen.get(of, -1) + 1
            if not over and stop.moment(kind, path, seen[of]):
                over.append(path)
                os.kill(os.getpid(), stop.by)

        if stop.place == "disk":
            # Only in the child process.
            sys.addaudithook(
                lambda event, arguments: (
                    look(event, str(arguments[0]))
                    if event in {"os.rename", "os.mkdir"} and self._output.name in str(arguments[0])
                    else None
                )
            )
            return
        if self._is_zarr and not stop.first:
            # A chunk of an older, larger store.
            self._store().put(f"{self._output.name}/Sonar/Old/c/0", b"left over")
        self._client.meta.events.register(
            "before-send.s3",
            lambda request, **_: look(request.method, request.url.split("?")[0]),
        )

    def clear(self) -> None:
        """Delete everything."""
        if isinstance(self._output, LocalLocation):
            shutil.rmtree(self._output.path.parent)
        else:
            self._store().delete(self._store().list(""))

    def state(self, numbers: Mapping[str, int]) -> dict[str, Any]:
        """The state of the output: which of these values it has, by name, and whose manifest."""
        objects = self._objects()
        name = self._output.name
        inside = {key.removeprefix(f"{name}/"): body for key, body in objects.items()}
        own = {
            key: body
            for key, body in inside.items()
            if not key.startswith((f"{name}.", ".partial"))
        }
        state: dict[str, Any] = {
            "holds": None,
            "manifest": None,
            "claim": f"{name}.claim.json" in objects,
            "objects": len(own),
            "objects_published": None,
            "stray": sum(key.startswith(".partial") for key in inside),
        }
        if (body := objects.get(f"{name}.manifest.json")) is not None:
            published = read_manifest(body, "manifest")
            state["objects_published"] = published["output"]["objects"]
            state["manifest"] = _name_of(numbers, int(published["run"]["image"]))
        if ("zarr.json" if self._is_zarr else name) in own:
            with tempfile.TemporaryDirectory() as folder, self._tree_of(own, Path(folder)) as tree:
                state["holds"] = next(
                    (
                        which
                        for which, number in numbers.items()
                        if not differences(
                            self.valued(number).echodata, tree, string_widths=self._is_zarr
                        )
                    ),
                    "a mix",
                )
        return state

    def _objects(self) -> dict[str, bytes]:
        if isinstance(self._output, LocalLocation):
            folder = self._output.path.parent
            return {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file()
            }
        store = self._store()
        found = {key: store.get(key) for key in store.list("")}
        return {key: stored.body for key, stored in found.items() if stored is not None}

    def _tree_of(self, objects: Mapping[str, bytes], folder: Path) -> xr.DataTree:
        if not self._is_zarr:
            (folder / "out.nc").write_bytes(objects["out.nc"])
            return xr.open_datatree(folder / "out.nc", engine="netcdf4", chunks=None)
        store: Any = zarr.storage.MemoryStore(
            {key: Buffer.from_bytes(body) for key, body in objects.items()}, read_only=True
        )
        return xr.open_datatree(store, engine="zarr", chunks=None)

    def _store(self) -> ObjectStore:
        assert isinstance(self._output, S3Location)
        return ObjectStore(self._client, self._output.bucket)


def _name_of(numbers: Mapping[str, int], number: int) -> str:
    return next((name for name, known in numbers.items() if known == number), str(number))


def main() -> None:
    """Print a JSON line for every stop, or for the given ones."""
    port, inbox, output, raw, folder, *chosen = sys.argv[1:]
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
    # Options that differ from those for reading, so that the client is new.
    options = {**options_for(int(port)), "config_kwargs": {"read_timeout": 6}}
    last: dict[tuple[str, str], int] = {}
    for number, (name, stop) in enumerate(STOPS.items()):
        if chosen and name not in chosen:
            continue
        place: OutputLocation = (
            S3Location(output, f"out{stop.suffix}")
            if stop.place == "s3"
            else LocalLocation(Path(folder) / stop.suffix / f"out{stop.suffix}")
        )
        trials = Trials(opened, options, place)
        if (stop.place, stop.suffix) not in last or stop.first:
            # Each retry leaves a published output, which the next trial overwrites.
            if stop.place == "s3":
                forked(trials.clear)
            last[stop.place, stop.suffix] = 3 * number
            if not stop.first:
                forked(partial(trials.publish, "first", 3 * number))
        numbers = {
            "old": last[stop.place, stop.suffix],
            "stopped": 3 * number + 1,
            "next_owner": 3 * number + 2,
        }
        status, _ = forked(partial(trials.publish, f"run {number}", numbers["stopped"], stop))
        _, left = forked(partial(trials.state, numbers))
        # Every fourth is retried by another flow run, which must wait for the lease.
        next_owner = f"another run {number}" if number % 4 == 2 else f"run {number}"
        begun = time.monotonic()
        _, end = forked(partial(trials.publish, next_owner, numbers["next_owner"]))
        _, after = forked(partial(trials.state, numbers))
        last[stop.place, stop.suffix] = numbers.get(after["holds"], -1)
        report = {
            "stop": name,
            "by": (
                signal.Signals(os.WTERMSIG(status)).name
                if os.WIFSIGNALED(status)
                else f"exit {os.WEXITSTATUS(status)}"
            ),
            "left": left,
            "retry": end,
            "retry_seconds": time.monotonic() - begun,
            "after": after,
        }
        print(json.dumps(report), flush=True)  # noqa: T201 - read by the test that runs this


if __name__ == "__main__":
    main()

"""S3 to S3 through a round trip of 30 ms: echodrop against what one would write with echopype.

Small: a real 1.5 MB EK60 file. Baselines: `open_raw` from S3 and then
`DataTree.to_zarr("s3://...")`, and the same into a local store that
`s3fs.put(recursive=True)` copies. Large: that file grown to 100 MB; the baseline is
`open_raw` and `to_zarr` on a local disk, with no S3 at all.

    python -m benchmarks.s3_to_s3 RAW [--runs 5] [--large-mb 100]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import s3fs

from benchmarks.latency_proxy import LatencyProxy, latency_proxy
from flows.conversion import convert
from flows.publication import Published
from flows.raw_opening import import_echopype
from flows.request import ConversionRequest
from sandbox.grow import grow
from sandbox.ports import free_port

Way = Callable[[int], object]

ROUND_TRIP = 0.03
_OURS = "echodrop"
# Takes most of a minute, which no cache makes shorter.
_SLOW = 'open_raw, DataTree.to_zarr("s3://...")'
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}


@dataclass(frozen=True)
class Measured:
    """Median seconds and requests of a way to do it."""

    seconds: float
    requests: int


def measured(proxy: LatencyProxy, ways: dict[str, tuple[Way, int]]) -> dict[str, Measured]:
    """Run each way as often as is said beside it, after one that warms caches.

    They take turns, so that what else the machine does falls on all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    requests: dict[str, list[int]] = {name: [] for name in ways}
    for name, (way, _) in ways.items():
        if name != _SLOW:
            way(-1)
    for run in range(max(runs for _, runs in ways.values())):
        for name, (way, runs) in ways.items():
            if run < runs:
                proxy.requests()
                begun = time.perf_counter()
                way(run)
                seconds[name].append(time.perf_counter() - begun)
                requests[name].append(proxy.requests())
    return {
        name: Measured(statistics.median(seconds[name]), int(statistics.median(requests[name])))
        for name in ways
        if seconds[name]
    }


@contextlib.contextmanager
def s3_server() -> Iterator[int]:
    """Moto on a free port, in a process of its own."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws_server", f"--port={port}"],
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, **_CREDENTIALS},
        stderr=subprocess.DEVNULL,
    )
    try:
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1"
        )
        for _ in range(200):
            with contextlib.suppress(Exception):
                for bucket in ("inbox", "output"):
                    client.create_bucket(Bucket=bucket)
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


class Ways:
    """The ways to bring one raw file from `inbox` to a Zarr store in `output`."""

    def __init__(self, key: str, local: Path, port: int, scratch: Path) -> None:
        self.key, self.local, self.scratch = key, local, scratch
        self.etag = hashlib.md5(local.read_bytes(), usedforsecurity=False).hexdigest()
        self.options: dict[str, Any] = {"endpoint_url": f"http://127.0.0.1:{port}"}
        self.echopype = import_echopype()

    def echodrop(self, run: int) -> Published:
        """Ours: pinned fetch, checks, lossless encoding, publication, verification, manifest."""
        done = convert(
            ConversionRequest(
                raw_file=f"s3://inbox/{self.key}",
                sonar_model="EK60",
                output_path=f"s3://output/echodrop-{run}/{self.key}.zarr",
                output_type="zarr",
                # As the trigger asks.
                overwrite=True,
                source_etag=self.etag,
                input_storage_options=self.options,
                output_storage_options=self.options,
            )
        )
        assert isinstance(done, Published)  # noqa: S101 - else there is nothing to compare
        return done

    def _open(self) -> Any:  # noqa: ANN401 - echopype ships no types
        return self.echopype.open_raw(
            f"s3://inbox/{self.key}", sonar_model="EK60", storage_options=self.options
        )

    def datatree(self, run: int) -> None:
        """`DataTree.to_zarr` straight to S3; echopype's own writes to a local folder instead."""
        tree = self._open()._tree  # noqa: SLF001 - echopype has no public way to it
        tree.to_zarr(
            f"s3://output/datatree-{run}/{self.key}.zarr",
            mode="w",
            storage_options=self.options,
        )

    def local_and_put(self, run: int) -> None:
        """A local store by echopype, copied by s3fs."""
        store = self.scratch / f"put-{run}.zarr"
        self._open().to_zarr(save_path=str(store), overwrite=True)
        s3fs.S3FileSystem(**self.options).put(
            str(store), f"output/put-{run}/{self.key}.zarr", recursive=True
        )
        shutil.rmtree(store)

    def local_only(self, run: int) -> None:
        """`open_raw` and `to_zarr` on a local disk, no S3."""
        store = self.scratch / f"local-{run}.zarr"
        opened = self.echopype.open_raw(str(self.local), sonar_model="EK60")
        opened.to_zarr(save_path=str(store), overwrite=True)
        shutil.rmtree(store)


def report(name: str, found: dict[str, Measured]) -> None:
    """Print seconds, requests and ratios."""
    ours = found[_OURS]
    print(f"\n{name}")
    print(f"  {_OURS:42}{ours.seconds:9.2f} s{ours.requests:7} requests")
    for label, baseline in found.items():
        if label == _OURS:
            continue
        print(
            f"  {label:42}{baseline.seconds:9.2f} s{baseline.requests:7} requests"
            f"   echodrop takes {ours.seconds / baseline.seconds:.3f} of it"
            f" ({baseline.seconds / ours.seconds:.1f}x faster)"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path, help="a real EK60 file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slow-runs", type=int, default=1, help="of DataTree.to_zarr to S3")
    parser.add_argument("--large-mb", type=int, default=100)
    arguments = parser.parse_args()
    os.environ.update(_CREDENTIALS)
    # zarr and echopype warn of each other at every baseline run.
    warnings.simplefilter("ignore")
    with (
        tempfile.TemporaryDirectory(prefix="echodrop-benchmark-") as folder,
        s3_server() as port,
        latency_proxy(port, ROUND_TRIP) as proxy,
    ):
        scratch = Path(folder)
        direct = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1"
        )
        direct.put_object(Bucket="inbox", Key=arguments.raw.name, Body=arguments.raw.read_bytes())
        small = Ways(arguments.raw.name, arguments.raw, proxy.port, scratch)
        found = measured(
            proxy,
            {
                _OURS: (small.echodrop, arguments.runs),
                "open_raw, local to_zarr, s3fs.put": (small.local_and_put, arguments.runs),
                _SLOW: (small.datatree, arguments.slow_runs),
            },
        )
        report(f"{arguments.raw.name}, S3 to S3 at {ROUND_TRIP * 1000:.0f} ms", found)
        objects = small.echodrop(arguments.runs).manifest["output"]["objects"]
        print(f"  objects {objects}, requests beyond them {found[_OURS].requests - objects}")

        if arguments.large_mb:
            grown = scratch / f"grown-{arguments.raw.name}"
            grow(arguments.raw, grown, arguments.large_mb * 1_000_000)
            direct.put_object(Bucket="inbox", Key=grown.name, Body=grown.read_bytes())
            large = Ways(grown.name, grown, proxy.port, scratch)
            report(
                f"{grown.stat().st_size / 1e6:.0f} MB EK60, S3 to S3 at {ROUND_TRIP * 1000:.0f} ms",
                measured(
                    proxy,
                    {
                        _OURS: (large.echodrop, arguments.runs),
                        "open_raw, to_zarr, local disk, no S3": (large.local_only, arguments.runs),
                    },
                ),
            )


if __name__ == "__main__":
    main()

"""Compares echodrop with simple echopype scripts, S3 to S3 with a round trip of 30 ms.

Small: a real 1.5 MB EK60 file. Baselines: `open_raw` from S3 and then
`DataTree.to_zarr("s3://...")`, and the same into a local store that
`s3fs.put(recursive=True)` copies. Large: that file grown to 100 MB; the baseline is
`open_raw` and `to_zarr` on a local disk, without S3.

    python -m benchmarks.s3_to_s3 RAW [--runs 5] [--slow-runs 3] [--large-mb 100]

Prints medians, without imports. `DataTree.to_zarr` to S3 takes 40 s, so it has fewer
runs: with 3 of them everything takes about four minutes. Targets: at least 60 and 3
times faster than the baselines, at most as many requests as objects and 20 more,
verification included; the large file in at most 0.6 of the time of its baseline. Exits
with 1 if a target is missed.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psutil
import s3fs
import typer

from benchmarks.measuring.grow import grow
from benchmarks.measuring.latency_proxy import LatencyProxy, latency_proxy
from benchmarks.measuring.measured import in_turn, timed
from benchmarks.measuring.servers import INBOX, OUTPUT, s3_server, storage_options
from flows.conversion import convert
from flows.publishing.publication import Published
from flows.rawfile.echopype_reader import import_echopype
from flows.stores.request import ConversionRequest

Way = Callable[[], object]

ROUND_TRIP = 0.03
_OURS = "echodrop"
# Takes most of a minute, with or without caches.
_SLOW = 'open_raw, DataTree.to_zarr("s3://...")'
_PUT = "open_raw, local to_zarr, s3fs.put"
_LOCAL = "open_raw, to_zarr, local disk, no S3"
# Largest allowed ratio of our time to each baseline's.
TARGETS = {_SLOW: 1 / 60, _PUT: 1 / 3, _LOCAL: 0.6}
REQUESTS_BEYOND_OBJECTS = 20


class MeasuredMethod(NamedTuple):
    """Medians of one way to convert: seconds, requests, and processor seconds of S3 and proxy."""

    seconds: float
    requests: float
    of_servers: float


def measured(
    proxy: LatencyProxy, ways: Mapping[str, Way], runs: int, *, warm: bool = True
) -> dict[str, MeasuredMethod]:
    """Run each way in turn, after one run that warms caches; the medians."""

    def once(way: Way) -> MeasuredMethod:
        proxy.requests()
        before = _processor_seconds_of_servers()
        seconds = timed(way)
        return MeasuredMethod(seconds, proxy.requests(), _processor_seconds_of_servers() - before)

    measurements = {name: partial(once, way) for name, way in ways.items()}
    if warm:
        in_turn(measurements, 1)
    return {
        name: MeasuredMethod(*map(statistics.median, zip(*found, strict=True)))
        for name, found in in_turn(measurements, runs).items()
    }


def _processor_seconds_of_servers() -> float:
    """They share the cores with the conversion, and AWS's own do not."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


class Ways:
    """The ways to convert one raw file in `inbox` to a Zarr store in `output`."""

    def __init__(self, key: str, local: Path, port: int, scratch: Path) -> None:
        self.key, self.local, self.scratch = key, local, scratch
        self.etag = hashlib.md5(local.read_bytes(), usedforsecurity=False).hexdigest()
        self.options = storage_options(port)
        self.echopype = import_echopype()
        self._runs = count()

    def echodrop(self) -> Published:
        """Ours: pinned fetch, checks, lossless encoding, publication, verification, manifest."""
        done = convert(
            ConversionRequest(
                raw_file=f"s3://{INBOX}/{self.key}",
                sonar_model="EK60",
                output_path=f"s3://{OUTPUT}/echodrop-{next(self._runs)}/{self.key}.zarr",
                output_type="zarr",
                # As the trigger requests it.
                overwrite=True,
                source_etag=self.etag,
                input_storage_options=self.options,
                output_storage_options=self.options,
            )
        )
        assert isinstance(done, Published)  # noqa: S101 - a skipped run measures nothing
        return done

    def _open(self) -> Any:  # noqa: ANN401 - echopype ships no types
        return self.echopype.open_raw(
            f"s3://{INBOX}/{self.key}", sonar_model="EK60", storage_options=self.options
        )

    def datatree(self) -> None:
        """`DataTree.to_zarr` directly to S3, which echopype's own method does not support."""
        tree = self._open()._tree  # noqa: SLF001 - echopype has no public API for it
        tree.to_zarr(
            f"s3://{OUTPUT}/datatree-{next(self._runs)}/{self.key}.zarr",
            mode="w",
            storage_options=self.options,
        )

    def local_and_put(self) -> None:
        """A local store from echopype, copied by s3fs."""
        run = next(self._runs)
        store = self.scratch / f"put-{run}.zarr"
        self._open().to_zarr(save_path=str(store), overwrite=True)
        s3fs.S3FileSystem(**self.options).put(
            str(store), f"{OUTPUT}/put-{run}/{self.key}.zarr", recursive=True
        )
        shutil.rmtree(store)

    def local_only(self) -> None:
        """`open_raw` and `to_zarr` on a local disk, no S3."""
        store = self.scratch / "local.zarr"
        opened = self.echopype.open_raw(str(self.local), sonar_model="EK60")
        opened.to_zarr(save_path=str(store), overwrite=True)
        shutil.rmtree(store)


def report(name: str, found: Mapping[str, MeasuredMethod]) -> bool:
    """Print seconds, requests and ratios; return whether all targets are met."""
    ours = found[_OURS]
    print(f"\n{name}")
    print(
        f"  {_OURS:42}{ours.seconds:9.2f} s{ours.requests:7.0f} requests"
        f"   S3 and proxy took {ours.of_servers:.2f} s of the same processors"
    )
    met = True
    for label, baseline in found.items():
        if label == _OURS:
            continue
        ratio = ours.seconds / baseline.seconds
        met &= ratio <= TARGETS[label]
        print(
            f"  {label:42}{baseline.seconds:9.2f} s{baseline.requests:7.0f} requests"
            f"   echodrop takes {ratio:.3f} of it ({1 / ratio:.1f}x faster;"
            f" at most {TARGETS[label]:.3f}: {_verdict(ratio <= TARGETS[label])})",
            flush=True,
        )
    return met


def _verdict(met: bool) -> str:  # noqa: FBT001 - its value is printed
    return "met" if met else "MISSED"


def small_file(raw: Path, way: Ways, proxy: LatencyProxy, runs: int, slow_runs: int) -> bool:
    """Measure the real file; return whether all targets are met."""
    found = measured(proxy, {_OURS: way.echodrop, _PUT: way.local_and_put}, runs)
    if slow_runs:
        found |= measured(proxy, {_SLOW: way.datatree}, slow_runs, warm=False)
    met = report(f"{raw.name}, S3 to S3 at {ROUND_TRIP * 1000:.0f} ms", found)
    objects = way.echodrop().manifest["output"]["objects"]
    beyond = found[_OURS].requests - objects
    print(
        f"  objects {objects}, requests beyond them {beyond:.0f}"
        f" (at most {REQUESTS_BEYOND_OBJECTS}: {_verdict(beyond <= REQUESTS_BEYOND_OBJECTS)})"
    )
    return met and beyond <= REQUESTS_BEYOND_OBJECTS


def main(
    raw: Path,
    runs: int = 5,
    slow_runs: Annotated[int, typer.Option(help="of DataTree.to_zarr to S3; 0 for none")] = 3,
    large_mb: Annotated[int, typer.Option(help="size of the large file; 0 for none")] = 100,
) -> None:
    """Convert a real EK60 file in every way."""
    # zarr and echopype raise warnings in every baseline run.
    warnings.simplefilter("ignore")
    with (
        tempfile.TemporaryDirectory(prefix="echodrop-benchmark-") as folder,
        s3_server(Path(folder)) as (port, direct),
        latency_proxy(port, ROUND_TRIP) as proxy,
    ):
        scratch = Path(folder)
        direct.upload_file(str(raw), INBOX, raw.name)
        small = Ways(raw.name, raw, proxy.port, scratch)
        met = small_file(raw, small, proxy, runs, slow_runs)
        if large_mb:
            grown = scratch / f"grown-{raw.name}"
            grow(raw, grown, large_mb * 1_000_000)
            direct.put_object(Bucket=INBOX, Key=grown.name, Body=grown.read_bytes())
            large = Ways(grown.name, grown, proxy.port, scratch)
            ways = {_OURS: large.echodrop, _LOCAL: large.local_only}
            name = (
                f"{grown.stat().st_size / 1e6:.0f} MB EK60, S3 to S3 at {ROUND_TRIP * 1000:.0f} ms"
            )
            met &= report(name, measured(proxy, ways, runs))
    sys.exit(not met)


if __name__ == "__main__":
    typer.run(main)

"""Compares files per minute of batches with one task per file, in the sandbox.

    python -m benchmarks.batch_lane REAL_DATA [--files 60] [--single 12] [--threads]

The runs of both are created through Prefect's API, and the ECS worker and the task
executor run them in one sandbox. The time is from the first `create_flow_run` to the
end of the last run. The files are, in turn, the two small EK80 files of REAL_DATA (33
and 218 KB) and a synthetic EK60 file of 264 KB, each with its own key. With one task
per file fewer files are converted, so that it takes only minutes; its rate is steady
after the first files. Both use as many processes at a time as the machine has
processors. Target: at least 4 times the files per minute. `--threads` also converts the
files with threads and with processes, without Prefect and S3, for
docs/decisions/warm-lane.md. Exits with 1 if the target is missed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.conversion import convert
from flows.rawfile.echopype_reader import import_echopype
from flows.stores.request import ConversionRequest
from sandbox.prefect.prefect_api import FINAL_STATES
from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox, SandboxOptions

TARGET = 4.0
SMALL_EK80 = ("ek80/-1519668699940320059.raw", "ek80/2917763601822576513.raw")
WAIT_SECONDS = 1200


@dataclass(frozen=True)
class Small:
    """One small file: its path and its model."""

    path: Path
    model: str


def small_files(real_data: Path, folder: Path) -> list[Small]:
    """Return the files to convert in turn."""
    sample = write_sample(
        folder / "ek60.raw", pings=60, channels=(38_000, 120_000), samples=500
    ).path
    return [*(Small(real_data / name, "EK80") for name in SMALL_EK80), Small(sample, "EK60")]


class LanePair:
    """Converts files in both ways in one running sandbox."""

    def __init__(self, sandbox: Sandbox, files: Sequence[Small]) -> None:
        self._sandbox, self._files = sandbox, files
        self._s3 = sandbox.client("s3")

    def entries(self, lane: str, count: int) -> list[dict[str, Any]]:
        """Put `count` files with separate keys; return the parameters for each.

        The files are put into the output bucket, because the inbox would start runs by itself.
        """
        names = self._sandbox.names
        found = []
        for number in range(count):
            file = self._files[number % len(self._files)]
            key = f"benchmark/{lane}/{number:03}.raw"
            self._s3.put_object(Bucket=names.output_bucket, Key=key, Body=file.path.read_bytes())
            found.append(
                {
                    "raw_file": f"s3://{names.output_bucket}/{key}",
                    "sonar_model": file.model,
                    "output_path": f"s3://{names.output_bucket}/{key.removesuffix('.raw')}.zarr",
                    "output_type": "zarr",
                }
            )
        return found

    def run(self, flow: str, calls: Sequence[dict[str, Any]]) -> tuple[float, list[dict[str, Any]]]:
        """Create a run for each call; return the seconds until all have ended, and the runs."""
        api = self._sandbox.api
        deployment = api.request("GET", f"/deployments/name/{flow}/ecs")["id"]
        begun = time.monotonic()
        created = [
            api.request(
                "POST", f"/deployments/{deployment}/create_flow_run", {"parameters": parameters}
            )["id"]
            for parameters in calls
        ]
        while True:
            self._sandbox.check()
            runs = [
                run
                for run in api.request(
                    "POST", "/flow_runs/filter", {"flow_runs": {"id": {"any_": created}}}
                )
                if run["state"]["type"] in FINAL_STATES
            ]
            if len(runs) == len(created):
                seconds = time.monotonic() - begun
                break
            if time.monotonic() - begun > WAIT_SECONDS:
                raise SystemExit(
                    f"{flow}: {len(runs)} of {len(created)} runs after {WAIT_SECONDS} s"
                )
            time.sleep(0.5)
        for run in runs:
            if run["state"]["name"] != "Completed":
                raise SystemExit(f"{flow}: {run['state']['name']}: {run['state']['message']}")
        return seconds, runs

    def manifests(self, lane: str) -> int:
        """The number of published outputs of a lane."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._sandbox.names.output_bucket, Prefix=f"benchmark/{lane}/"
        )
        return sum(
            entry["Key"].endswith(".manifest.json")
            for page in pages
            for entry in page.get("Contents", [])
        )


def lanes(files: Sequence[Small], count: int, single: int) -> float:
    """Run both ways, print their rates, and return the ratio."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(Path(folder), SandboxOptions(products=False)) as sandbox,
    ):
        both = LanePair(sandbox, files)
        batch, each = both.entries("batch", count), both.entries("each", single)
        batch_seconds, runs = both.run("convert-raw-sonar-batch", [{"files": batch}])
        each_seconds, each_runs = both.run("convert-raw-sonar", each)
        published = (both.manifests("batch"), both.manifests("each"))
        if published != (count, single):
            raise SystemExit(f"published {published}, not {(count, single)}")
        tasks = sandbox.api.request(
            "POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}}
        )
    in_batch = statistics.median(run["estimated_run_time"] for run in tasks)
    running = statistics.median(run["estimated_run_time"] for run in each_runs)
    batch_pace, each_pace = 60 * count / batch_seconds, 60 * single / each_seconds
    print(f"{'lane':<14}{'files':>6}{'seconds':>9}{'files/min':>11}   a file")
    print(
        f"{'task per file':<14}{single:>6}{each_seconds:>9.1f}{each_pace:>11.1f}"
        f"   median {running:.2f} s in its run"
    )
    print(
        f"{'batch':<14}{count:>6}{batch_seconds:>9.1f}{batch_pace:>11.1f}"
        f"   median {in_batch:.2f} s in its task run"
    )
    print(f"ratio {batch_pace / each_pace:.1f} (target {TARGET:.0f})")
    return batch_pace / each_pace


def _convert(file: tuple[str, str, str]) -> None:
    raw, model, output = file
    convert(
        ConversionRequest(raw_file=raw, sonar_model=model, output_path=output, output_type="zarr")
    )


def _import(_number: int) -> None:
    import_echopype()
    # So that each process of the pool gets one of them.
    time.sleep(1)


def threads_and_processes(files: Sequence[Small], count: int, rounds: int = 3) -> None:
    """Print the median seconds to convert `count` files to disk, with threads and processes."""
    workers = os.cpu_count() or 1
    import_echopype()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        spawn = multiprocessing.get_context("spawn")
        pools: dict[str, Executor] = {
            "one thread": ThreadPoolExecutor(1),
            f"{workers} threads": ThreadPoolExecutor(workers),
            f"{workers} processes": ProcessPoolExecutor(workers, mp_context=spawn),
        }
        for pool in pools.values():
            list(pool.map(_import, range(workers)))
        for round_number in range(rounds):
            for name, pool in pools.items():
                jobs = []
                for number in range(count):
                    file = files[number % len(files)]
                    output = f"{folder}/{name}/{round_number}-{number}.zarr"
                    jobs.append((str(file.path), file.model, output))
                begun = time.monotonic()
                list(pool.map(_convert, jobs))
                seconds.setdefault(name, []).append(time.monotonic() - begun)
        for pool in pools.values():
            pool.shutdown()
    baseline = statistics.median(seconds["one thread"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        print(
            f"{name:<14}{median:>9.1f} s {60 * count / median:>7.0f} files/min {baseline / median:>6.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real_data", type=Path)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--single", type=int, default=12)
    parser.add_argument("--threads", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = small_files(arguments.real_data, Path(folder))
        if arguments.threads:
            threads_and_processes(files, arguments.files)
        ratio = lanes(files, arguments.files, arguments.single)
    sys.exit(0 if ratio >= TARGET else 1)


if __name__ == "__main__":
    main()

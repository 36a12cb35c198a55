"""Compares files per minute of batches with one task per file, in the sandbox.

    python -m benchmarks.batch_lane REAL_DATA [--files 60] [--single 12]

The runs of both are created through Prefect's API, and the ECS worker and the task
executor run them in one sandbox. The time is from the first `create_flow_run` to the
end of the last run. The files are, in turn, the two small EK80 files of REAL_DATA (33
and 218 KB) and a synthetic EK60 file of 264 KB, each with its own key. With one task
per file fewer files are converted, so that it takes only minutes; its rate is steady
after the first files. Both use as many processes at a time as the machine has
processors. Target: at least 4 times the files per minute. Exits with
1 if the target is missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from sandbox.inbox import SandboxInbox
from sandbox.parts.waiting import wait_until
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

        def ended() -> list[dict[str, Any]] | None:
            self._sandbox.check()
            found: list[dict[str, Any]] = api.request(
                "POST", "/flow_runs/filter", {"flow_runs": {"id": {"any_": created}}}
            )
            return found if all(run["state"]["type"] in FINAL_STATES for run in found) else None

        runs = wait_until(ended, WAIT_SECONDS, f"{len(created)} runs of {flow}", every=0.5)
        seconds = time.monotonic() - begun
        for run in runs:
            if run["state"]["name"] != "Completed":
                raise SystemExit(f"{flow}: {run['state']['name']}: {run['state']['message']}")
        return seconds, runs

    def manifests(self, lane: str) -> int:
        """The number of published outputs of a lane."""
        names = SandboxInbox(self._sandbox).outputs(f"benchmark/{lane}/")
        return sum(name.endswith(".manifest.json") for name in names)


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


def main(real_data: Path, files: int = 60, single: int = 12) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        ratio = lanes(small_files(real_data, Path(folder)), files, single)
    sys.exit(0 if ratio >= TARGET else 1)


if __name__ == "__main__":
    typer.run(main)

"""Compares the peak memory of a whole conversion with that of `open_raw` alone.

    python -m benchmarks.peak_memory [--runs 3]    # 100 MB EK60 and EK80

For each file, the medians of several processes of each kind:

- `open_raw` alone, from the local disk, with imports: the baseline;
- the whole `convert`, S3 to S3, to Zarr and to netCDF, and to Zarr with `verify="full"`;
- a flow run as a task runs it: `prefect flow-run execute` with a real server.

S3 (moto) and the Prefect server are separate processes and do not count. Each value is
the peak of the largest process. For a flow run, that is the flow's process; the process
that starts and watches it is reported separately, and so is the memory of Prefect's
imports. Target: at most 1.15 of `open_raw`, for the flow run without Prefect's imports.
Exits with 1 if it is missed. Files are grown from the real ones. Linux only: it reads
/proc.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.flow_run_process import FlowRunServer, flow_runs
from benchmarks.measuring.measured_process import Peak, measure
from benchmarks.measuring.s3_server import INBOX, OUTPUT, s3_server, storage_options
from sandbox.sea.grow import grow

TARGET = 1.15
FILES = {
    "EK60": "ek60/D20070724-T042400.raw",
    "EK80": "ek80/EK80_-D20221108-T151353.raw",
}
MEGABYTES = 100


@dataclass(frozen=True)
class UploadedFile:
    """A grown file, on disk and in the inbox, with its S3 server."""

    model: str
    local: Path
    port: int

    def parameters(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parameters of any kind
        """A conversion's parameters, S3 to S3."""
        options = storage_options(self.port)
        return {
            "raw_file": f"s3://{INBOX}/{self.local.name}",
            "sonar_model": self.model,
            "output_path": f"s3://{OUTPUT}/peak",
            "output_type": "zarr",
            "overwrite": True,
            "input_storage_options": options,
            "output_storage_options": options,
            **changes,
        }


@contextlib.contextmanager
def uploaded_files(data: Path, models: Sequence[str]) -> Iterator[list[UploadedFile]]:
    """The files of these models, grown and uploaded to a running S3 server."""
    with (
        tempfile.TemporaryDirectory(prefix="echodrop-memory-") as folder,
        s3_server() as (port, client),
    ):
        made = []
        for model in models:
            local = Path(folder) / f"{model}.raw"
            grow(data / FILES[model], local, MEGABYTES * 1_000_000)
            client.upload_file(str(local), INBOX, local.name)
            made.append(UploadedFile(model, local, port))
        yield made


def median(peaks: Sequence[Peak]) -> Peak:
    """The median of each figure."""
    return Peak(
        int(statistics.median(peak.bytes for peak in peaks)),
        statistics.median(peak.seconds for peak in peaks),
        int(statistics.median(peak.parent for peak in peaks)),
    )


def compare(file: UploadedFile, runs: FlowRunServer, prefect: int, repeats: int) -> bool:
    """Print a file's ratios; return whether all are within the target."""
    ways: dict[str, Any] = {
        "open_raw alone": lambda: measure("open", str(file.local), file.model),
        "convert, zarr": lambda: measure("convert", file.parameters()),
        "convert, zarr, full": lambda: measure("convert", file.parameters(verify="full")),
        "convert, netcdf": lambda: measure("convert", file.parameters(output_type="netcdf")),
        "flow run, zarr": lambda: runs.measure(file.parameters()),
    }
    peaks: dict[str, list[Peak]] = {name: [] for name in ways}
    # In turn, so that other load on the machine affects all of them.
    for _ in range(repeats):
        for name, way in ways.items():
            peaks[name].append(way())
    found = {name: median(of_it) for name, of_it in peaks.items()}
    alone = found["open_raw alone"].bytes
    size = file.local.stat().st_size / 1e6
    print(f"\n{file.model} {size:.0f} MB, medians of {repeats}", flush=True)
    met = True
    for name, peak in found.items():
        ratio = peak.bytes / alone
        counted, more = ratio, ""
        if name.startswith("flow run"):
            counted = (peak.bytes - prefect) / alone
            more = (
                f"; {counted:.3f} without Prefect's imports; and "
                f"{peak.parent / 1e6:.0f} MB in the process that watches it"
            )
        met &= counted <= TARGET
        print(f"  {name:20} {peak.bytes / 1e6:6.0f} MB  {ratio:.3f} of open_raw{more}", flush=True)
    return met


def main() -> int:
    """Run the measurements; return 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    real = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=real.resolve())
    parser.add_argument("--models", nargs="+", choices=list(FILES), default=list(FILES))
    parser.add_argument("--runs", type=int, default=3)
    options: Any = parser.parse_args()
    with uploaded_files(options.data, options.models) as files:
        bare = median([measure("imports") for _ in range(options.runs)]).bytes
        full = median([measure("imports with prefect") for _ in range(options.runs)]).bytes
        prefect = full - bare
        print(
            f"imports of a conversion {bare / 1e6:.0f} MB, "
            f"with Prefect's {full / 1e6:.0f} MB: Prefect's share {prefect / 1e6:.0f} MB"
        )
        with flow_runs() as runs:
            within = [compare(file, runs, prefect, options.runs) for file in files]
        return int(not all(within))


if __name__ == "__main__":
    sys.exit(main())

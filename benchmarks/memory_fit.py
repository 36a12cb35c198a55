"""The straight lines of `flows/memory_model.py`: peak memory of whole conversions by file size.

    python -m benchmarks.memory_fit [--models EK60 EK80 AZFP AD2CP] [--sizes-mb 10 50]

Each point is the larger of a conversion to Zarr and one to netCDF, S3 to S3 and read back
whole (`verify="full"`), each in a process of its own; S3 is another. Files are grown
from the real ones: Simrad by repeating pings with advancing times, AZFP and AD2CP
by repeating the file's pings as they are. Prints each point with what the model
says of it, and the line through them. Exits with 1 if a point is above the model.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured_process import measure
from benchmarks.s3_server import INBOX, OUTPUT, s3_server, storage_options
from flows.memory_model import peak_bytes
from sandbox.grow import grow

# Bytes ahead of the first ping of the real AD2CP file.
_AD2CP_CONFIGURATION = 2250
FILES = {
    "EK60": "ek60/D20070724-T042400.raw",
    "EK80": "ek80/EK80_-D20221108-T151353.raw",
    "AZFP": "azfp/15100520-Test.01A",
    "AD2CP": "ad2cp/SG198_0099_a.ad2cp",
}
SETTINGS = "azfp/15100804.XML"
# Megabytes. AD2CP stays small: echopype needs half a minute for 10 MB.
SIZES = {
    "EK60": [10, 50, 100, 200],
    "EK80": [10, 50, 100, 200],
    "AZFP": [1, 10, 50],
    "AD2CP": [1, 3, 10],
}


def grown(data: Path, folder: Path, model: str, megabytes: int) -> Path:
    """A file of about that size, made of the real one's own bytes."""
    source = data / FILES[model]
    target = folder / f"{megabytes}{source.suffix}"
    if model in {"EK60", "EK80"}:
        grow(source, target, megabytes * 1_000_000)
        return target
    content = source.read_bytes()
    at = _AD2CP_CONFIGURATION if model == "AD2CP" else 0
    pings = content[at:]
    target.write_bytes(content[:at] + pings * round(megabytes * 1e6 / len(pings)))
    return target


def told(model: str, points: Sequence[tuple[int, int]]) -> bool:
    """Print the points (bytes of the file, bytes at the peak) and their line; whether the model covers all."""
    covered = True
    for size, peak in points:
        modelled = peak_bytes(model, size)
        covered &= peak <= modelled
        print(
            f"{model:6}{size:11,} bytes  peak {peak / 1e6:6.0f} MB"
            f"  modelled {modelled / 1e6:6.0f} MB  ratio {peak / modelled:.2f}"
        )
    if len(points) > 1:
        x, y = np.array(points, float).T
        slope, fixed = np.polyfit(x, y, 1)
        print(f"{model:6}peak = {fixed / 1e6:.0f} MB + {slope:.1f} x file bytes", flush=True)
    return covered


def main() -> int:
    """Measure what the options ask for; 0 if the model covers every point."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    real = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=real.resolve())
    parser.add_argument("--models", nargs="+", choices=sorted(FILES), default=list(FILES))
    parser.add_argument("--sizes-mb", nargs="+", type=int, help="instead of each model's own")
    parser.add_argument("--runs", type=int, default=1)
    options: Any = parser.parse_args()
    covered = True
    with tempfile.TemporaryDirectory() as folder, s3_server() as (port, client):
        for name in (*FILES.values(), SETTINGS):
            client.upload_file(str(options.data / name), INBOX, name)

        def peak_of(model: str, megabytes: int) -> tuple[int, int]:
            raw = grown(options.data, Path(folder), model, megabytes)
            client.upload_file(str(raw), INBOX, raw.name)
            parameters = {
                "raw_file": f"s3://{INBOX}/{raw.name}",
                "sonar_model": model,
                "xml_path": f"s3://{INBOX}/{SETTINGS}" if model == "AZFP" else None,
                "output_path": f"s3://{OUTPUT}/fit",
                "overwrite": True,
                "verify": "full",
                "input_storage_options": storage_options(port),
                "output_storage_options": storage_options(port),
            }
            peaks = [
                statistics.median(
                    measure("convert", {**parameters, "output_type": output_type}).bytes
                    for _ in range(options.runs)
                )
                for output_type in ("zarr", "netcdf")
            ]
            size = raw.stat().st_size
            raw.unlink()
            return size, int(max(peaks))

        for model in options.models:
            sizes = options.sizes_mb or SIZES[model]
            points = [peak_of(model, megabytes) for megabytes in sizes]
            covered &= told(model, points)
    return int(not covered)


if __name__ == "__main__":
    sys.exit(main())

"""What a file and a terabyte cost by size of task, from seconds measured here and list prices.

    python -m benchmarks.cost_table EK60_RAW EK80_RAW [--sizes-mb 2 25 100] [--cold-seconds 45]

Each file is grown to each size and converted by a process of its own, disk to
disk, so imports count and S3 does not: on AWS its transfers run beside. Seconds are this
machine's and stand for one vCPU and more alike, as parsing is one thread.
Cold seconds, from RunTask to the first line of Python, are an input: only an
account can show them. Baseline: one size of task for every file, as a work
pool without tiers has, which must be the one that the largest file needs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from flows.size_tiers import TIERS, Tier, up_to_bytes
from operations.estimates import COLD_SECONDS, PREFECT_SECONDS, dollars_of_task
from operations.prices import ARM64, X86_64, Fargate
from sandbox.grow import grow

TERABYTE = 10**12

CHILD = """
import sys
from flows.conversion import convert
from flows.request import ConversionRequest
raw, model, output = sys.argv[1:]
convert(ConversionRequest(raw_file=raw, sonar_model=model, output_path=output, output_type="zarr"))
"""


@dataclass(frozen=True)
class Measured:
    """One conversion: the raw file's bytes, seconds of the process, objects written."""

    model: str
    bytes: int
    seconds: float
    objects: int

    @property
    def tier(self) -> Tier:
        """The smallest size that is enough."""
        return next(tier for tier in TIERS if self.bytes <= up_to_bytes(tier, self.model))


def measure(raw: Path, model: str, folder: Path) -> Measured:
    """Convert once in a process of its own."""
    output = folder / f"{raw.stem}.zarr"
    command = [sys.executable, "-c", CHILD, str(raw), model, str(output)]
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - begun
    manifest = json.loads(Path(f"{output}.manifest.json").read_text())
    objects = int(manifest["output"]["objects"])
    return Measured(model, raw.stat().st_size, seconds, objects)


def dollars(prices: Fargate, tier: Tier, measured: Measured, cold_seconds: float) -> float:
    """Cost of one file in a task of its own, with its notification and requests."""
    seconds = cold_seconds + PREFECT_SECONDS + measured.seconds
    size = (tier.cpu, tier.memory, tier.ephemeral_storage)
    return dollars_of_task(prices, size, seconds, measured.objects)


def main() -> int:
    """Print the tables and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ek60", type=Path)
    parser.add_argument("ek80", type=Path)
    parser.add_argument("--sizes-mb", type=int, nargs="+", default=[2, 25, 100])
    parser.add_argument("--cold-seconds", type=float, default=COLD_SECONDS)
    given = parser.parse_args()
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        for model, source in (("EK60", given.ek60), ("EK80", given.ek80)):
            for megabytes in given.sizes_mb:
                raw = Path(folder) / f"{model}-{megabytes}.raw"
                grow(source, raw, megabytes * 1_000_000)
                measurements.append(measure(raw, model, Path(folder)))
                raw.unlink()
    largest = max((item.tier for item in measurements), key=lambda tier: tier.memory)
    print(f"cold start {given.cold_seconds:.0f} s (input), prices a list (inputs)\n")
    print("| file | tier | converted in | objects | ARM64 a file | a TB | X86_64 a TB |")
    print("|---|---|---|---|---|---|---|")
    tiered = one_size = 0.0
    for item in measurements:
        cost = dollars(ARM64, item.tier, item, given.cold_seconds)
        tiered += cost
        one_size += dollars(ARM64, largest, item, given.cold_seconds)
        other = dollars(X86_64, item.tier, item, given.cold_seconds)
        files = TERABYTE / item.bytes
        print(
            f"| {item.model} {item.bytes / 1e6:.0f} MB | {item.tier.name} | {item.seconds:.1f} s "
            f"| {item.objects} | ${cost:.5f} | ${cost * files:,.2f} | ${other * files:,.2f} |"
        )
    print("\n| tier | vCPU | GiB | first minute, cold (ARM64) | an hour |\n|---|---|---|---|---|")
    for tier in TIERS:
        size = (tier.cpu, tier.memory, tier.ephemeral_storage)
        print(
            f"| {tier.name} | {tier.cpu / 1024:.0f} | {tier.memory / 1024:.0f} "
            f"| ${ARM64.dollars(*size, 60):.5f} | ${ARM64.dollars(*size, 3600):.4f} |"
        )
    print(f"\nall files in tiers / all in '{largest.name}': {tiered / one_size:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Computes the cost of a file and of a terabyte by task size, from measured seconds and prices.

    python -m benchmarks.cost_table EK60_RAW EK80_RAW

Each file is grown to each size and converted by a separate process, from disk to disk.
So imports count and S3 does not, because on AWS its transfers run in parallel. Seconds
are processor seconds, so that other work on this machine does not count. They are the
time with one vCPU, and an upper bound with more, because parsing is one thread. Cold
seconds, from RunTask to the first line of Python, are an input, because they can only
be measured on AWS. Baseline: the large task size for every file. A file that needs this
size is not measured but extrapolated linearly: `line`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from benchmarks.measuring.grow import grow
from benchmarks.measuring.measured import called
from benchmarks.measuring.steps import convert
from operations.console.report import FindingTally
from operations.reconcile.reconcile_report import figures
from operations.sending.estimates import (
    ALARM,
    ARM64,
    COLD_SECONDS,
    KEY,
    LAMBDA_GB_SECOND,
    METRIC,
    MONTH_HOURS,
    PREFECT_SECONDS,
    SECONDS_AN_HOUR,
    SECRET,
    X86_64,
    Fargate,
    dollars_of_task,
)
from sandbox.stack.template import TEMPLATE
from task_sizes import LARGE, STANDARD, TaskSize, size_for
from watchdog.emf import UNITS

TERABYTE = 10**12
SIZES_MB = (2, 25, 100, 250)
# Size of a typical file that needs the large size.
LARGE_BYTES = 10**10
ALARMS = TEMPLATE.read_text("utf-8").count("Type: AWS::CloudWatch::Alarm\n")
# Metrics of the watchdog and the reconciliation; those of the trigger are written only with
# uploads.
METRICS = len(UNITS) + len(figures("echodrop", FindingTally(), 0.0))


@dataclass(frozen=True)
class MeasuredConversion:
    """One conversion: the raw file's bytes, seconds of a processor, objects written.

    `on_the_line`: it was not measured but extrapolated from the others.
    """

    model: str
    bytes: int
    seconds: float
    objects: int
    on_the_line: bool = False

    @property
    def size(self) -> TaskSize:
        """The task size for this file."""
        return size_for(self.model, self.bytes)


def measure(raw: Path, model: str, folder: Path) -> MeasuredConversion:
    """Convert once in a separate process."""
    objects, spent = called(convert, str(raw), model, str(folder / f"{raw.stem}.zarr"))
    return MeasuredConversion(model, raw.stat().st_size, spent.processor, objects)


def dollars(prices: Fargate, size: TaskSize, measured: MeasuredConversion) -> float:
    """Cost of one file in its own task, with its notification and requests."""
    seconds = COLD_SECONDS + PREFECT_SECONDS + measured.seconds
    return dollars_of_task(prices, size, seconds, measured.objects)


def extrapolated(measured: Sequence[MeasuredConversion]) -> MeasuredConversion:
    """A file of `LARGE_BYTES` on the line through one model's measured files."""
    sizes = [item.bytes for item in measured]
    seconds, objects = (
        float(np.polynomial.Polynomial.fit(sizes, values, 1)(LARGE_BYTES))
        for values in ([item.seconds for item in measured], [item.objects for item in measured])
    )
    return MeasuredConversion(
        measured[0].model, LARGE_BYTES, seconds, round(objects), on_the_line=True
    )


def standing_items() -> dict[str, float]:
    """Dollars per month of each part of an idle stack in its own VPC.

    Prefect, logs, storage and free items are not included. The requests of the
    reconciliation are those of a nearly empty inbox; `benchmarks.reconcile_month` has
    larger ones.
    """
    worker = ARM64.dollars(512, 1024, 20, SECONDS_AN_HOUR) * MONTH_HOURS
    address = ARM64.address_hour * MONTH_HOURS
    # COLD_SECONDS and a second of work are less than the minute that is billed.
    looks = ARM64.dollars(1024, 2048, 20, COLD_SECONDS + 5) * (MONTH_HOURS + MONTH_HOURS / 168)
    watchdog = MONTH_HOURS * 12 * (0.20e-6 + 0.25 * 2 * LAMBDA_GB_SECOND)
    return {
        "worker, half a vCPU and 1 GB": worker - address,
        "its public address": address,
        "reconciliation, 734 tasks of a minute": looks,
        "watchdog, 8,760 invocations of 2 s": watchdog,
        "alarms": ALARMS * ALARM,
        "metrics": METRICS * METRIC,
        "key": KEY,
        "secret": SECRET,
    }


def standing_table() -> str:
    """The items as a table, and their sum."""
    rows = [f"| {name} | ${dollars:.2f} |" for name, dollars in standing_items().items()]
    head = ["", "| a stack that nobody uses | a month |", "|---|---|"]
    return "\n".join([*head, *rows, f"| together | ${standing():.2f} |"])


def standing() -> float:
    """Dollars per month of an idle stack: the sum of its `standing_items`."""
    return sum(standing_items().values())


def row(item: MeasuredConversion) -> str:
    """A row; its dollars follow from its other cells (tests/unit/flows/test_sizes_page.py)."""
    cost = dollars(ARM64, item.size, item)
    other = dollars(X86_64, item.size, item)
    files = TERABYTE / item.bytes
    origin = "line" if item.on_the_line else "measured"
    return (
        f"| {item.model} {item.bytes / 1e6:,.2f} MB | {item.size.name} | {item.seconds:.1f} s, {origin} "
        f"| {item.objects:,} | ${cost:.5f} | ${cost * files:,.2f} | ${other * files:,.2f} |"
    )


def main(ek60: Path, ek80: Path) -> None:
    """Print the tables and the ratio."""
    print(f"cold start {COLD_SECONDS:.0f} s (input), prices a list (inputs)\n")
    print("| file | size | converted in | objects | ARM64 a file | a TB | X86_64 a TB |")
    print("|---|---|---|---|---|---|---|")
    measurements: list[MeasuredConversion] = []
    with tempfile.TemporaryDirectory() as folder:
        for model, source in (("EK60", ek60), ("EK80", ek80)):
            ours: list[MeasuredConversion] = []
            for megabytes in SIZES_MB:
                raw = Path(folder) / f"{model}-{megabytes}.raw"
                grow(source, raw, megabytes * 1_000_000)
                ours.append(measure(raw, model, Path(folder)))
                raw.unlink()
                shutil.rmtree(raw.with_suffix(".zarr"))
                print(row(ours[-1]), flush=True)
            print(row(extrapolated(ours)))
            measurements += ours
    as_needed = sum(dollars(ARM64, item.size, item) for item in measurements)
    all_large = sum(dollars(ARM64, LARGE, item) for item in measurements)
    print("\n| size | vCPU | GiB | first minute, cold (ARM64) | an hour |\n|---|---|---|---|---|")
    for size in (STANDARD, LARGE):
        minute, hour = (
            ARM64.dollars(size.cpu, size.memory, size.ephemeral_storage, seconds)
            for seconds in (60, 3600)
        )
        print(
            f"| {size.name} | {size.cpu / 1024:.0f} | {size.memory / 1024:.0f} "
            f"| ${minute:.5f} | ${hour:.4f} |"
        )
    print(standing_table())
    print(f"\nmeasured files as they need / all in '{LARGE.name}': {as_needed / all_large:.2f}")


if __name__ == "__main__":
    typer.run(main)

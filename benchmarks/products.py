"""Compares processor seconds and peak memory of an output's products with those of its conversion.

    python -m benchmarks.products DATA [--megabytes 100] [--runs 3]

Baseline: the local conversion of the same file. Each runs in its own process; the results
are medians. "Imports aside" subtracts a process that only imports the same packages. The
picture alone (with its thumbnail) and all products are measured. The picture should take
at most a quarter of the conversion, imports aside.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.engine import KINDS
from benchmarks.measuring.measured_process import Peak, measure, waited_for

_IMPORTS = (
    "import flows.products.make, flows.products.picture, flows.products.viewer_store;"
    "from flows.rawfile.echopype_reader import import_echopype; import_echopype();"
    "import echopype.calibrate; echopype.calibrate.compute_Sv"
)
_PRODUCTS = {
    "picture": ("--only", "echogram", "--only", "thumbnail"),
    "all products": (),
}


def _median(peaks: list[Peak]) -> tuple[float, float]:
    """Processor seconds, and megabytes at the peak."""
    return (
        statistics.median(peak.processor_seconds for peak in peaks),
        statistics.median(peak.bytes for peak in peaks) / 1e6,
    )


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--only", choices=[kind.name for kind in KINDS])
    options = parser.parse_args()
    bare = [
        _median([measure("imports") for _ in range(options.runs)]),
        _median([waited_for([sys.executable, "-c", _IMPORTS]) for _ in range(options.runs)]),
    ]
    print(f"imports: conversion {bare[0][0]:.2f} s, products {bare[1][0]:.2f} s of a processor")
    for kind in KINDS:
        if options.only not in {None, kind.name}:
            continue
        with tempfile.TemporaryDirectory(prefix="echodrop-products-") as folder:
            raw = Path(folder) / f"grown{Path(kind.source).suffix}"
            kind.grow(options.data, raw, options.megabytes * 1_000_000)
            output = f"{folder}/out.zarr"
            parameters = {
                "raw_file": str(raw),
                "sonar_model": kind.model,
                "output_path": output,
                "output_type": "zarr",
                "overwrite": True,
            }
            base = _median([measure("convert", parameters) for _ in range(options.runs)])
            print(f"{kind.name} {raw.stat().st_size / 1e6:.0f} MB, medians of {options.runs}")
            print(f"  conversion: {base[0]:.2f} s of a processor, {base[1]:.0f} MB")
            for name, only in _PRODUCTS.items():
                command = [sys.executable, "-m", "flows.products.make", *only, output]
                found = _median([waited_for(command) for _ in range(options.runs)])
                aside = (found[0] - bare[1][0]) / (base[0] - bare[0][0])
                print(
                    f"  {name}: {found[0]:.2f} s, {found[1]:.0f} MB: ratio {found[0] / base[0]:.2f}, "
                    f"imports aside {aside:.2f}; memory {found[1] / base[1]:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

"""Compares processor seconds and peak memory of an output's products with those of its conversion.

    python -m benchmarks.products DATA [--megabytes 100] [--runs 3]

Baseline: the local conversion of the same file. Each runs in its own process; the results
are medians. "Imports aside" subtracts a process that only imports the same packages. The
picture alone (with its thumbnail) and all products are measured. The picture should take
at most a quarter of the conversion, imports aside.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import typer

from benchmarks.engine import KINDS, KindName
from benchmarks.measuring.measured import called, median, run
from benchmarks.measuring.steps import (
    convert,
    import_conversion,
    import_products,
    import_products_of_ek80,
)

_PRODUCTS = {
    "picture": ("--only", "echogram", "--only", "thumbnail"),
    "all products": (),
}


def main(data: Path, runs: int = 3, megabytes: int = 100, only: KindName | None = None) -> None:
    """Print the ratios."""
    times = range(runs)
    bare, of_others, of_ek80 = (
        median([called(each)[1] for _ in times]).processor
        for each in (import_conversion, import_products, import_products_of_ek80)
    )
    print(f"imports: conversion {bare:.2f} s, products {of_others:.2f} s, of EK80 {of_ek80:.2f} s")
    for kind in KINDS:
        if only not in {None, kind.name}:
            continue
        with tempfile.TemporaryDirectory(prefix="echodrop-products-") as folder:
            raw = Path(folder) / f"grown{Path(kind.source).suffix}"
            kind.grow(data, raw, megabytes * 1_000_000)
            output = f"{folder}/out.zarr"
            base = median([called(convert, str(raw), kind.model, output)[1] for _ in times])
            print(f"{kind.name} {raw.stat().st_size / 1e6:.0f} MB, medians of {runs}")
            print(f"  conversion: {base.processor:.2f} s of a processor, {base.megabytes:.0f} MB")
            bare_products = of_ek80 if kind.model == "EK80" else of_others
            for name, chosen in _PRODUCTS.items():
                command = [sys.executable, "-m", "flows.products.make", *chosen, output]
                found = median([run(command) for _ in times])
                aside = (found.processor - bare_products) / (base.processor - bare)
                print(
                    f"  {name}: {found.processor:.2f} s, {found.megabytes:.0f} MB: "
                    f"ratio {found.processor / base.processor:.2f}, imports aside {aside:.2f}; "
                    f"memory {found.megabytes / base.megabytes:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    typer.run(main)

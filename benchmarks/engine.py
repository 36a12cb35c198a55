"""Compares processor seconds and memory of local conversions with echopype's, and of products with their conversion's.

    python -m benchmarks.engine DATA [--runs 3] [--megabytes 100] [--ragged RAGGED.raw]

Baseline: `echopype.open_raw` and `to_zarr`, local disk to local disk. Ours: `convert`
of the same file, with preflight, comparison with echopype, verification and manifest.
Both run alternately, each in its own process; the results are medians. "Imports aside"
subtracts the values of a process that only imports the same packages. Files are grown
from real ones: their configuration and filters stay once, their pings repeat with
advancing times. The complex samples of each ping are mixed, because a codec would find pings that
repeat. AD2CP files are a fifth as large, because echopype alone needs 80 bytes of memory per
byte, and 3 s per megabyte. Targets:

    ratio of processor seconds       EK60   EK80 in turn   EK80 sectors   AD2CP
    imports aside                    0.35   0.15           0.3            0.1
    whole processes                  0.55   0.3            0.4            0.15
    peak of ours                     0.35 GB + 1.4 bytes a byte of the file, AD2CP 8 bytes;
                                     0.5 GB for a ragged file

The products of the same output are measured, too: the picture with its thumbnail, and all of them. The
picture should take at most a quarter of the conversion, imports aside.

Exits with 1 if a target of the conversion is missed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmarks.measuring.grow import grow, grow_records, mix_complex_samples
from benchmarks.measuring.measured import Measured, called, in_turn, median, run
from benchmarks.measuring.steps import (
    convert,
    import_conversion,
    import_echopype_alone,
    import_products,
    import_products_of_ek80,
    open_and_save,
)

FIXED_MB, RAGGED_MB = 350, 500
_PRODUCTS = {
    "picture": ("--only", "echogram", "--only", "thumbnail"),
    "all products": (),
}
KindName = Literal["EK60", "EK80 in turn", "EK80 sectors", "AD2CP"]


@dataclass(frozen=True)
class FileKind:
    """One kind of file, with its targets for processor seconds and memory."""

    name: KindName
    model: str
    source: str
    aside: float
    whole: float
    bytes_per_file_byte: float = 1.4

    def grow(self, data: Path, target: Path, wanted_bytes: int) -> None:
        """Write a file of this kind."""
        if self.model == "AD2CP":
            grow_records(data / self.source, target, wanted_bytes // 5)
        else:
            grow(data / self.source, target, wanted_bytes)
            mix_complex_samples(target, self.model)


KINDS = (
    FileKind("EK60", "EK60", "ek60/D20070724-T042400.raw", 0.35, 0.55),
    FileKind("EK80 in turn", "EK80", "ek80/EK80_-D20221108-T151353.raw", 0.15, 0.3),
    FileKind("EK80 sectors", "EK80", "ek80/2917763601822576513.raw", 0.3, 0.4),
    FileKind("AD2CP", "AD2CP", "ad2cp/SG198_0099_a.ad2cp", 0.1, 0.15, 8),
)


def compare(kind: FileKind, raw: Path, runs: int, imports: list[Measured]) -> bool:
    """Print the ratios of one file; return whether all targets are met."""
    with tempfile.TemporaryDirectory(prefix="echodrop-engine-") as folder:
        ways = {
            "theirs": lambda: called(open_and_save, str(raw), kind.model, f"{folder}/theirs.zarr"),
            "ours": lambda: called(convert, str(raw), kind.model, f"{folder}/ours.zarr"),
        }
        found = in_turn(ways, runs)
        products = {
            name: partial(_made, chosen, f"{folder}/ours.zarr")
            for name, chosen in _PRODUCTS.items()
        }
        made = {name: median(each) for name, each in in_turn(products, runs).items()}
    theirs, ours = (median([each for _, each in found[name]]) for name in ways)
    size = raw.stat().st_size / 1e6
    whole = ours.processor / theirs.processor
    aside = (ours.processor - imports[1].processor) / (theirs.processor - imports[0].processor)
    limit = FIXED_MB + kind.bytes_per_file_byte * size
    print(
        f"{kind.name} {size:.0f} MB, medians of {runs}\n"
        f"  processor seconds: {ours.processor:.2f} of {theirs.processor:.2f}: ratio {whole:.2f} "
        f"({kind.whole}); imports aside {aside:.2f} ({kind.aside})\n"
        f"  wall seconds: {ours.seconds:.2f} of {theirs.seconds:.2f}: "
        f"ratio {ours.seconds / theirs.seconds:.2f}\n"
        f"  peak memory: {ours.megabytes:.0f} MB of {theirs.megabytes:.0f}: ratio "
        f"{ours.megabytes / theirs.megabytes:.2f} (at most {limit:.0f} MB); imports aside "
        f"{(ours.megabytes - imports[1].megabytes) / size:.1f} of "
        f"{(theirs.megabytes - imports[0].megabytes) / size:.1f} bytes a byte of the file",
        flush=True,
    )
    bare = imports[3 if kind.model == "EK80" else 2].processor
    for name, spent in made.items():
        ratio = (spent.processor - bare) / (ours.processor - imports[1].processor)
        print(
            f"  {name}: {spent.processor:.2f} s, {spent.megabytes:.0f} MB: ratio to the conversion "
            f"{spent.processor / ours.processor:.2f}, imports aside {ratio:.2f}; "
            f"memory {spent.megabytes / ours.megabytes:.2f}",
            flush=True,
        )
    return whole <= kind.whole and aside <= kind.aside and ours.megabytes <= limit


def _made(chosen: Sequence[str], output: str) -> Measured:
    return run([sys.executable, "-m", "flows.products.make", *chosen, output])


def main(
    data: Path,
    runs: int = 3,
    megabytes: int = 100,
    only: KindName | None = None,
    ragged: Annotated[Path | None, typer.Option(help="an EK60 file with one long ping")] = None,
) -> None:
    """Run the measurements."""
    imports = [
        median([called(each)[1] for _ in range(runs)])
        for each in (
            import_echopype_alone,
            import_conversion,
            import_products,
            import_products_of_ek80,
        )
    ]
    names = ("echopype", "ours", "products", "products of EK80")
    each = zip(names, imports, strict=True)
    print("imports: " + ", ".join(f"{name} {spent.processor:.2f} s" for name, spent in each))
    met = []
    with tempfile.TemporaryDirectory(prefix="echodrop-engine-") as folder:
        for kind in KINDS:
            if only in {None, kind.name}:
                raw = Path(folder) / f"grown{Path(kind.source).suffix}"
                kind.grow(data, raw, megabytes * 1_000_000)
                met.append(compare(kind, raw, runs, imports))
        if ragged is not None:
            output = f"{folder}/ragged.zarr"
            _, once = called(convert, str(ragged), "EK60", output)
            print(f"ragged {ragged.stat().st_size / 1e6:.0f} MB: {once.megabytes:.0f} MB")
            met.append(once.megabytes <= RAGGED_MB)
    sys.exit(not all(met))


if __name__ == "__main__":
    typer.run(main)

"""Compares the size of the output with echopype's, and checks that it decodes to the same bits.

    python -m benchmarks.output_size [--data FOLDER_OF_REAL_FILES]

Targets, for the real EK60 file: Zarr at most 0.45 of `EchoData.to_zarr`,
netCDF at most 0.80 of `EchoData.to_netcdf`. Exits with 1 if one is missed or
a bit differs.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import echopype
import typer
import xarray as xr
from echopype.echodata import EchoData

from benchmarks.measuring.measured import timed
from flows.encoding.netcdf_encoding import write_netcdf
from flows.encoding.zarr_encoding import encode_zarr
from flows.publishing.identity import differences

TARGETS = {("EK60", "zarr"): 0.45, ("EK60", "netcdf"): 0.80}
REPEATS = 3
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def median_seconds(work: Callable[[], object]) -> float:
    """Median of a few runs without warm-up."""
    return statistics.median(timed(work) for _ in range(REPEATS))


def files_of(path: Path) -> list[Path]:
    """The files of a store, or the single file."""
    return [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]


def write_store(objects: dict[str, bytes], root: Path) -> None:
    """Write the objects of a Zarr store into a new folder."""
    for key, body in objects.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(body)


def compare(echodata: EchoData, kind: str, folder: Path) -> tuple[list[Path], list[Path], str]:
    """Return echopype's files, ours, and a line about times and identity."""
    own, ours = folder / f"own.{kind}", folder / f"ours.{kind}"
    encoded: dict[str, bytes] = {}
    if kind == "zarr":
        own_time = median_seconds(lambda: echodata.to_zarr(str(own), overwrite=True))
        our_time = median_seconds(lambda: encoded.update(encode_zarr(echodata, codec_family=None)))
        write_store(encoded, ours)
        opened = xr.open_datatree(ours, engine="zarr")
    else:
        own_time = median_seconds(lambda: echodata.to_netcdf(str(own), overwrite=True))
        our_time = median_seconds(lambda: write_netcdf(echodata, ours))
        opened = xr.open_datatree(ours)
    echodata.converted_raw_path = None
    found = differences(echodata, opened, string_widths=kind == "zarr")
    opened.close()
    verdict = "identical" if not found else f"DIFFERS: {found[0]}"
    return files_of(own), files_of(ours), f"{own_time:6.2f} s {our_time:6.2f} s  {verdict}"


def main(data: Path = REAL) -> None:
    """Print one line per file and format."""
    warnings.simplefilter("ignore")
    missed = False
    print(
        f"{'file':30} {'format':7} {'own bytes':>10} {'ours':>10} {'ratio':>6} {'target':>6} "
        f"{'objects':>9} {'own':>8} {'ours':>8}"
    )
    for name, facts in json.loads((data / "expected.json").read_text()).items():
        model = facts["sonar_model"]
        xml = facts["xml_path"]
        echodata = echopype.open_raw(
            str(data / name), model, xml_path=str(data / xml) if xml else None
        )
        for kind, suffix in (("zarr", "zarr"), ("netcdf", "nc")):
            with tempfile.TemporaryDirectory() as folder:
                own, ours, verdict = compare(echodata, suffix, Path(folder))
                own_bytes, our_bytes = (sum(p.stat().st_size for p in s) for s in (own, ours))
            ratio, target = our_bytes / own_bytes, TARGETS.get((model, kind))
            missed |= "DIFFERS" in verdict or (target is not None and ratio > target)
            print(
                f"{Path(name).name[:30]:30} {kind:7} {own_bytes:10} {our_bytes:10} {ratio:6.3f} "
                f"{target or '':>6} {len(own):4}/{len(ours):4} {verdict}"
            )
    sys.exit(missed)


if __name__ == "__main__":
    typer.run(main)

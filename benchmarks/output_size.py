"""Compares the size of the output with echopype's, and checks that it decodes to the same bits.

    python -m benchmarks.output_size [--data FOLDER_OF_REAL_FILES]

Targets, for the real EK60 file: Zarr at most 0.45 of `EchoData.to_zarr`,
netCDF at most 0.80 of `EchoData.to_netcdf`. Exits with 1 if one is missed or
a bit differs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

import echopype
import typer
import xarray as xr
from echopype.echodata import EchoData

from flows.encoding.netcdf_encoding import write_netcdf
from flows.encoding.zarr_encoding import encode_zarr
from flows.publishing.identity import differences

TARGETS = {("EK60", "zarr"): 0.45, ("EK60", "netcdf"): 0.80}
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def files_of(path: Path) -> list[Path]:
    """The files of a store, or the single file."""
    return [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]


def compare(echodata: EchoData, suffix: str, folder: Path) -> tuple[list[Path], list[Path], str]:
    """Return echopype's files, ours, and whether both decode to the same."""
    own, ours = folder / f"own.{suffix}", folder / f"ours.{suffix}"
    if suffix == "zarr":
        echodata.to_zarr(str(own), overwrite=True)
        for key, body in encode_zarr(echodata, codec_family=None).items():
            (ours / key).parent.mkdir(parents=True, exist_ok=True)
            (ours / key).write_bytes(body)
        opened = xr.open_datatree(ours, engine="zarr")
    else:
        echodata.to_netcdf(str(own), overwrite=True)
        write_netcdf(echodata, ours)
        opened = xr.open_datatree(ours)
    echodata.converted_raw_path = None
    found = differences(echodata, opened, string_widths=suffix == "zarr")
    opened.close()
    return files_of(own), files_of(ours), f"DIFFERS: {found[0]}" if found else "identical"


def main(data: Path = REAL) -> None:
    """Print one line per file and format."""
    warnings.simplefilter("ignore")
    missed = False
    print(
        f"{'file':30} {'format':7} {'own bytes':>10} {'ours':>10} {'ratio':>6} {'target':>6} "
        f"{'objects':>9}"
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

"""Peak resident memory of a conversion against `open_raw` alone.

    python benchmarks/peak_memory.py            # 100 MB EK60 and EK80
    python benchmarks/peak_memory.py --fit      # every model at several sizes: flows/memory_model.py
    python benchmarks/peak_memory.py --swap     # the same two files through echopype's swap

Target: at most 1.15 of open_raw alone on the same file. Each figure is the
high-water mark of its own process. Large files are grown from the real ones:
Simrad by repeating pings with advancing times, AZFP and AD2CP by repeating
the file's records. Exits with 1 if the target is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TARGET = 1.15
SIMRAD = {
    "EK60": "ek60/D20070724-T042400.raw",
    "EK80": "ek80/EK80_-D20221108-T151353.raw",
}
RECORDS = {"AZFP": "azfp/15100520-Test.01A", "AD2CP": "ad2cp/SG198_0099_a.ad2cp"}
SETTINGS = {"AZFP": "azfp/15100804.XML"}
# Megabytes. AD2CP stays small: echopype needs half a minute for 10 MB.
FIT_SIZES = {
    "EK60": [10, 50, 100, 200],
    "EK80": [10, 50, 100, 200],
    "AZFP": [1, 10, 50],
    "AD2CP": [1, 3, 10],
}


def high_water() -> int:
    """Bytes of this process's largest resident set so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)


def child(way: str, raw: str, model: str, settings: str) -> None:
    """Convert in this process and print the high-water marks as JSON."""
    import warnings  # noqa: PLC0415 - only the child pays for its imports

    import echopype  # noqa: PLC0415

    from flows.netcdf_encoding import write_netcdf  # noqa: PLC0415
    from flows.zarr_encoding import encode_zarr  # noqa: PLC0415

    warnings.simplefilter("ignore")
    marks = {"imported": high_water()}
    echodata = echopype.open_raw(
        raw, model, xml_path=settings or None, use_swap=way.startswith("swap")
    )
    marks["opened"] = high_water()
    if way.endswith("zarr"):
        encode_zarr(echodata)
    elif way == "netcdf":
        write_netcdf(echodata, Path(f"{raw}.nc"))
    marks["converted"] = high_water()
    if way.startswith("swap"):
        # At the interpreter's end it is too late: echopype's own attempt fails.
        echodata.cleanup_swap_files()
    echodata.converted_raw_path = raw
    print(json.dumps(marks))


def measure(way: str, raw: Path, model: str, settings: str = "") -> dict[str, int]:
    """The high-water marks of one way in a process of its own."""
    command = [sys.executable, __file__, "--child", way, str(raw), model, settings]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    marks: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    return marks


def grown(data: Path, folder: Path, model: str, megabytes: int) -> Path:
    """A file of about that size, made of the real one's own bytes."""
    from sandbox.grow import grow  # noqa: PLC0415 - the child needs no sandbox

    source = data / (SIMRAD.get(model) or RECORDS[model])
    target = folder / f"{megabytes}{source.suffix}"
    if model in SIMRAD:
        grow(source, target, megabytes * 10**6)
    else:
        body = source.read_bytes()
        target.write_bytes(body * round(megabytes * 10**6 / len(body)))
    return target


def compare(data: Path, folder: Path, ways: list[str]) -> bool:
    """Print ratios for the 100 MB files; whether all are within the target."""
    met = True
    for model in SIMRAD:
        raw = grown(data, folder, model, 100)
        alone = measure("open", raw, model)["converted"]
        for way in ways:
            peak = measure(way, raw, model)["converted"]
            ratio = peak / alone
            met &= ratio <= TARGET
            print(
                f"{model} 100 MB {way:9} peak {peak / 1e6:6.0f} MB, open_raw alone "
                f"{alone / 1e6:6.0f} MB, ratio {ratio:.3f} (target {TARGET})"
            )
        raw.unlink()
    return met


def fit(data: Path, folder: Path) -> None:
    """Print peaks by model and size, and the straight line through them."""
    for model, sizes in FIT_SIZES.items():
        settings = str(data / SETTINGS[model]) if model in SETTINGS else ""
        points: list[tuple[int, int]] = []
        for megabytes in sizes:
            raw = grown(data, folder, model, megabytes)
            peak = measure("zarr", raw, model, settings)["converted"]
            points.append((raw.stat().st_size, peak))
            print(f"{model:6} {points[-1][0] / 1e6:6.1f} MB  peak {peak / 1e6:6.0f} MB", flush=True)
            raw.unlink()
        x, y = np.array(points, float).T
        slope, fixed = np.polyfit(x, y, 1)
        print(f"{model:6} peak = {fixed / 1e6:.0f} MB + {slope:.1f} x file bytes")


def main() -> int:
    """Measure what the options ask for; 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    real = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=real.resolve())
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--swap", action="store_true")
    parser.add_argument("--child", nargs=4, metavar=("WAY", "RAW", "MODEL", "XML"))
    options: Any = parser.parse_args()
    if options.child:
        child(*options.child)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if options.fit:
            fit(options.data, Path(folder))
            return 0
        ways = ["swap+zarr"] if options.swap else ["zarr", "netcdf"]
        return int(not compare(options.data, Path(folder), ways))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())

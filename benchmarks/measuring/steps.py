"""The steps of a conversion that benchmarks run in processes of their own.

Each imports only the packages that it needs itself.
"""

# ruff: noqa: PLC0415
from __future__ import annotations

import warnings
from typing import Any

warnings.simplefilter("ignore")


def import_echopype_alone() -> None:
    """What `open_and_save` imports."""
    import echopype  # noqa: F401


def import_conversion() -> None:
    """What `convert` imports."""
    import flows.conversion
    import flows.stores.request  # noqa: F401
    from flows.rawfile.echopype_reader import import_echopype

    import_echopype()


def import_products() -> None:
    """What `flows.products.make` imports, of its own and of echopype's, and as it does."""
    from flows.core.hold_memory import hold_memory

    hold_memory()
    import flows.products.make
    import flows.products.picture
    import flows.products.viewer_store  # noqa: F401
    from flows.rawfile.echopype_reader import import_echopype

    import_echopype()
    import echopype.calibrate

    _ = echopype.calibrate.compute_Sv


def import_products_of_ek80() -> None:
    """The same, and what xarray imports where echopype interpolates gains by frequency."""
    import_products()
    import scipy.interpolate  # type: ignore[import-untyped]  # noqa: F401


def open_and_save(raw: str, model: str, target: str) -> None:
    """The baseline: echopype alone."""
    import echopype

    echodata = echopype.open_raw(raw, model)
    echodata.to_zarr(target, overwrite=True)
    # Otherwise it looks for swap files while the interpreter shuts down.
    echodata.converted_raw_path = raw


def convert(raw: str, model: str, output: str) -> int:
    """Convert a file to a Zarr store, both local; the number of its objects."""
    from flows.conversion import convert as convert_file
    from flows.publishing.publication import Published
    from flows.rawfile.echopype_reader import import_echopype
    from flows.stores.request import ConversionRequest

    import_echopype()
    wanted: dict[str, Any] = {"raw_file": raw, "sonar_model": model, "output_path": output}
    done = convert_file(ConversionRequest(**wanted, output_type="zarr", overwrite=True))
    assert isinstance(done, Published)  # noqa: S101 - a skipped run measures nothing
    return int(done.manifest["output"]["objects"])

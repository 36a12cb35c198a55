"""Opens an output as its users do: echopype's EchoData, lazily, from a folder, a netCDF file or S3."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import xarray as xr

from flows.rawfile.echopype_reader import import_echopype


def open_output(
    output: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Any:  # noqa: ANN401 - echopype ships no types
    """Open the Zarr store or netCDF file at `output`, a path or an s3:// URI.

    `echopype.open_converted` opens the store four times, and netCDF only from a local
    disk. Here it is opened once, and netCDF from S3 is first downloaded to a temporary
    file, which is removed with the EchoData. Samples are read when they are used, and
    only those that are used; all else is in memory.

    Args:
        output: the location; a netCDF file's name ends in `.nc`.
        storage_options: as for s3fs.

    Returns:
        An `echopype.echodata.EchoData`.

    Raises:
        FileNotFoundError: nothing is there.
    """
    import_echopype()
    from echopype.echodata import EchoData  # noqa: PLC0415 - takes seconds

    output = os.fspath(output).rstrip("/")
    options = None
    if "://" in output:
        # Another run may have replaced the output since this process last read it.
        fresh = {"skip_instance_cache": True, "use_listings_cache": False}
        options = {**(storage_options or {}), **fresh}
    folder = None
    if not output.endswith(".nc"):
        tree = xr.open_datatree(output, engine="zarr", chunks=None, storage_options=options)
    elif options is None:
        tree = xr.open_datatree(Path(output).expanduser(), engine="netcdf4", chunks=None)
    else:
        folder = tempfile.TemporaryDirectory(prefix="echodrop-output-")
        local = Path(folder.name) / "output.nc"
        filesystem, path = fsspec.url_to_fs(output, **options)
        filesystem.get_file(path, str(local))
        tree = xr.open_datatree(local, engine="netcdf4", chunks=None)
    for node in tree.subtree:
        own = node.to_dataset(inherit=False)
        node.dataset = own.assign(
            {n: v.load() for n, v in own.data_vars.items() if "range_sample" not in v.dims}
        )
    echodata = EchoData(converted_raw_path=output)
    echodata._set_tree(tree)  # noqa: SLF001 - as open_converted does
    echodata._load_tree()  # noqa: SLF001 - as above
    if folder is not None:
        weakref.finalize(echodata, folder.cleanup)
    return echodata

"""Opens an output as its users do: echopype's EchoData, lazily, from a folder, a netCDF file or S3."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from zarr.storage import FsspecStore, LocalStore

from flows.core.locations import LocalLocation, Location, S3Location, parse_location
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
        ValueError: it is an http(s) URL.
    """
    import_echopype()
    from echopype.echodata import EchoData  # noqa: PLC0415 - takes seconds

    output = os.fspath(output).rstrip("/")
    location = parse_location(output)
    folder = None
    if isinstance(location, LocalLocation):
        if output.endswith(".nc"):
            tree = xr.open_datatree(location.path, engine="netcdf4", chunks=None, decode_cf=False)
        else:
            # A store, not its path: fsspec would split that at `::`.
            local_store = LocalStore(location.path, read_only=True)
            tree = xr.open_datatree(local_store, engine="zarr", chunks=None, decode_cf=False)  # type: ignore[arg-type]  # takes a Zarr store, too
    elif output.endswith(".nc"):
        folder = tempfile.TemporaryDirectory(prefix="echodrop-output-")
        local = Path(folder.name) / "output.nc"
        _filesystem(storage_options).get_file(_path(location), str(local))
        tree = xr.open_datatree(local, engine="netcdf4", chunks=None, decode_cf=False)
    else:
        filesystem = _filesystem(storage_options, asynchronous=True)
        store = FsspecStore(filesystem, read_only=True, path=_path(location))
        tree = xr.open_datatree(store, engine="zarr", chunks=None, decode_cf=False)  # type: ignore[arg-type]  # takes a Zarr store, too
    groups: dict[str, xr.Dataset] = {}
    stored: dict[tuple[str, str], xr.Variable] = {}
    for node in tree.subtree:
        own = node.to_dataset(inherit=False)
        samples = {str(n) for n, v in own.data_vars.items() if "range_sample" in v.dims}
        path = node.path.strip("/")
        stored |= {(path, name): own[name].variable for name in samples}
        decoded = xr.decode_cf(own)
        groups[path or "/"] = decoded.assign(
            {n: v.load() for n, v in decoded.data_vars.items() if n not in samples}
        )
    echodata = EchoData(converted_raw_path=output)
    echodata._set_tree(xr.DataTree.from_dict(groups))  # noqa: SLF001 - as open_converted does
    echodata._load_tree()  # noqa: SLF001 - as above
    # As they are stored: products read them by chunks, and decode only what they need.
    echodata.stored_samples = stored
    if folder is not None:
        weakref.finalize(echodata, folder.cleanup)
    return echodata


def _filesystem(options: Mapping[str, Any] | None, **more: Any) -> Any:  # noqa: ANN401 - s3fs ships no types
    import s3fs  # noqa: PLC0415 - outputs on a disk need no S3

    # Another run may have replaced the output since this process last read it.
    fresh = {"skip_instance_cache": True, "use_listings_cache": False}
    return s3fs.S3FileSystem(**{**(options or {}), **fresh, **more})


def _path(location: Location) -> str:
    """The path in s3fs. fsspec would split a URI at `::`, which a key may have."""
    if not isinstance(location, S3Location):
        raise ValueError(f"{location.uri}: outputs are read from S3 or a local folder only")  # noqa: TRY004 - the value is wrong
    return f"{location.bucket}/{location.key}"

"""Opens an output as its users do: echopype's EchoData, lazily, from a folder, a netCDF file or S3."""

from __future__ import annotations

import asyncio
import os
import tempfile
import weakref
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr
import zarr
from xarray.backends import ZarrStore
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from flows.core.locations import LocalLocation, Location, S3Location, parse_location
from flows.rawfile.echopype_reader import import_echopype

# What no product uses. Each variable that is opened takes a millisecond of a processor.
_UNUSED_GROUPS = frozenset({"Provenance", "Platform/NMEA"})
# An ADCP is not calibrated, and has a hundred variables of them.
_UNUSED_OF_ADCP = frozenset({"Environment", "Vendor_specific"})
_UNUSED = frozenset(
    {
        *("beam_group_descr", "beam_type", "data_type", "phase", "sample_time_offset"),
        *(f"MRU_{kind}_{axis}" for kind in ("offset", "rotation") for axis in "xyz"),
        *(f"position_offset_{axis}" for axis in "xyz"),
        *(f"beam_direction_{axis}" for axis in "xyz"),
        *("angle_alongship", "angle_athwartship", "beam_stabilisation", "gpt_software_version"),
        *("non_quantitative_processing", "transceiver_software_version"),
        *("drop_keel_offset", "drop_keel_offset_is_manual", "heading", "pitch", "roll"),
        *("transducer_offset_x", "transducer_offset_y", "water_level_draft_is_manual"),
        *("sound_velocity_profile", "sound_velocity_profile_depth", "sound_velocity_source"),
        *("transducer_name", "transducer_sound_speed", "transmit_bandwidth", "config_xml"),
        *("transceiver_serial_number", "transducer_serial_number"),
    }
)


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
    return _open(output, storage_options, is_for_products=False)


def open_for_products(output: str, storage_options: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - echopype ships no types
    """Open an output as `open_output` does, without what no product uses."""
    return _open(output, storage_options, is_for_products=True)


def _open(
    output: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None,
    *,
    is_for_products: bool,
) -> Any:  # noqa: ANN401 - echopype ships no types
    import_echopype()
    from echopype.echodata import EchoData  # noqa: PLC0415 - takes seconds

    output = os.fspath(output).rstrip("/")
    location = parse_location(output)
    folder = None
    if output.endswith(".nc"):
        if isinstance(location, LocalLocation):
            local = location.path
        else:
            folder = tempfile.TemporaryDirectory(prefix="echodrop-output-")
            local = Path(folder.name) / "output.nc"
            _filesystem(storage_options).get_file(_path(location), str(local))
        opened = _netcdf_groups(local)
    elif isinstance(location, LocalLocation):
        # A store, not its path: fsspec would split that at `::`.
        opened = _zarr_groups(LocalStore(location.path, read_only=True), is_for_products)
    else:
        filesystem = _filesystem(storage_options, asynchronous=True)
        remote = FsspecStore(filesystem, read_only=True, path=_path(location))
        opened = _zarr_groups(remote, is_for_products)
    groups: dict[str, xr.Dataset] = {}
    stored: dict[tuple[str, str], xr.Variable] = {}
    arrays: dict[tuple[str, str], zarr.Array[Any]] = {}
    for path, variables, attributes, members in opened:
        samples = {n: v for n, v in variables.items() if _has_samples(n, v)}
        stored |= {(path, n): v for n, v in samples.items()}
        arrays |= {(path, n): members[n] for n in samples.keys() & members.keys()}
        decoded, own, coordinates = xr.conventions.decode_cf_variables(variables, attributes)
        loaded = {n: v if n in samples else v.load() for n, v in decoded.items()}
        groups[path or "/"] = xr.Dataset(loaded, attrs=own).set_coords(coordinates & loaded.keys())
    echodata = EchoData(converted_raw_path=output)
    echodata._set_tree(xr.DataTree.from_dict(groups))  # noqa: SLF001 - as open_converted does
    echodata._load_tree()  # noqa: SLF001 - as above
    # As they are stored: products read them by chunks, and decode only what they need.
    echodata.stored_samples, echodata.stored_arrays = stored, arrays
    if folder is not None:
        weakref.finalize(echodata, folder.cleanup)
    return echodata


def _has_samples(name: Hashable, variable: xr.Variable) -> bool:
    return "range_sample" in variable.dims and name != "range_sample"


#: Groups by path, with their variables as they are stored, their attributes, and the arrays of Zarr.
_Groups = Iterator[tuple[str, dict[Any, xr.Variable], dict[Any, Any], Mapping[str, Any]]]


def _netcdf_groups(path: Path) -> _Groups:
    tree = xr.open_datatree(path, engine="netcdf4", chunks=None, decode_cf=False)
    for node in tree.subtree:
        own = node.to_dataset(inherit=False)
        yield node.path.strip("/"), dict(own.variables), own.attrs, {}


def _zarr_groups(store: FsspecStore | LocalStore, is_for_products: bool) -> _Groups:  # noqa: FBT001 - private
    """`xarray.open_datatree` cannot leave variables out, and reads one after another."""
    root = zarr.open_group(store, mode="r")
    members: dict[str, Any] = dict(root.members(max_depth=None))
    unused = _UNUSED_GROUPS if is_for_products else frozenset()
    sonar = members.get("Sonar")
    if is_for_products and sonar is not None and sonar.attrs.get("sonar_model") == "AD2CP":
        unused |= _UNUSED_OF_ADCP
    readers = {
        # As xarray itself decides: in Zarr 2 the fill value marks what is missing.
        path: ZarrStore(each, mode="r", use_zarr_fill_value_as_mask=each.metadata.zarr_format == 2)
        for path, each in {"": root, **members}.items()
        if isinstance(each, zarr.Group) and path not in unused
    }
    variables: dict[str, dict[Any, xr.Variable]] = {
        path: {
            name: reader.open_store_variable(name)  # type: ignore[no-untyped-call] # xarray has no type for it
            for name in reader.array_keys()
            if not (is_for_products and name in _UNUSED)
        }
        for path, reader in readers.items()
    }
    sync(_load(v for own in variables.values() for n, v in own.items() if not _has_samples(n, v)))
    for path, reader in readers.items():
        yield path, variables[path], reader.get_attrs(), reader.members  # type: ignore[no-untyped-call] # as above


async def _load(variables: Iterable[xr.Variable]) -> None:
    """All at once: a thread that waits for each takes half of the time of a small one."""
    await asyncio.gather(*(variable.load_async() for variable in variables))


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

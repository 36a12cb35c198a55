"""Writes an EchoData as one netCDF4 file, packed and compressed losslessly.

It uses the netCDF4 library, as echopype does, and writes region by region: no copy of a
whole sample variable is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import netCDF4
import numpy as np
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK as LOCK

from flows.core.packing import Packing, packings_for
from flows.encoding.cf_variables import StorableGroup, StorableVariable, storable_groups
from flows.encoding.chunking import chunk_lengths, chunk_regions

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# HDF5 readers cache a few MB of chunks; with chunks as large as Zarr's, each ping read would
# decompress a whole chunk again.
CHUNK_BYTES = 4 * 2**20

# deflate with shuffle is the only compression that every netCDF4 reader supports.
_DEFLATE_LEVEL: Final = 4


def write_netcdf(echodata: EchoData, path: Path, *, compact: bool = True) -> None:
    """Write `path`, a name ending in `.nc`; an existing file is replaced.

    compact: pack the samples if that is exact. False: the encoding of
        `EchoData.to_netcdf`. A failure may leave an incomplete file.
    """
    if not compact:
        echodata.to_netcdf(save_path=str(path), overwrite=True)
        return
    groups = storable_groups(echodata)
    # The library is not thread-safe. xarray's lock for it is held during each call, but not while
    # values are read, because they may come from a netCDF file too.
    with LOCK:
        file = netCDF4.Dataset(path, "w", format="NETCDF4")
        file.set_fill_off()
    try:
        for group_path, group in groups.items():
            with LOCK:
                target = file.createGroup(group_path) if group_path else file
            _write_group(target, group)
    finally:
        with LOCK:
            file.close()


def _write_group(target: netCDF4.Dataset, group: StorableGroup) -> None:
    lengths = chunk_lengths(group.extents(), limit=CHUNK_BYTES)
    with LOCK:
        _set_attributes(target, group.attributes)
        sizes = {
            d: n for v in group.variables.values() for d, n in zip(v.dims, v.shape, strict=True)
        }
        for dimension, size in sizes.items():
            target.createDimension(dimension, size)
    for name, variable in group.variables.items():
        if variable.dtype.kind == "U":
            _write_strings(target, name, variable)
        else:
            _write_numbers(target, name, variable, lengths[name])


def _write_strings(target: netCDF4.Dataset, name: str, variable: StorableVariable) -> None:
    values = np.asarray(variable.data).astype(object)
    with LOCK:
        written = target.createVariable(name, str, variable.dims)
        _set_attributes(written, variable.attributes)
        written[...] = values


def _write_numbers(
    target: netCDF4.Dataset, name: str, variable: StorableVariable, lengths: tuple[int, ...]
) -> None:
    regions = [region for _, region in chunk_regions(variable.shape, lengths)]
    packing = _exact_packing(variable, regions)
    chunked = bool(variable.dims) and 0 not in variable.shape
    with LOCK:
        written = target.createVariable(
            name,
            variable.dtype if packing is None else packing.stored,
            variable.dims,
            zlib=chunked,
            complevel=_DEFLATE_LEVEL,
            shuffle=chunked,
            chunksizes=lengths if chunked else None,
            fill_value=None if packing is None else packing.fill,
        )
        written.set_auto_maskandscale(False)
        _set_attributes(written, variable.attributes)
        if packing is not None and packing.scale_factor is not None:
            written.setncattr("scale_factor", np.float64(packing.scale_factor))
    for region in regions:
        if packing is None:
            values = variable.read(region)
        else:
            packed = variable.packed(region, packing)
            if packed is None:
                raise RuntimeError(f"{target.path}/{name} changed during the write")
            values = packed
        with LOCK:
            written[region if variable.dims else ...] = values


def _exact_packing(variable: StorableVariable, regions: list[tuple[slice, ...]]) -> Packing | None:
    """The first packing that is exact for every sample.

    netCDF needs the dtype before the first value, so samples are read twice, unless the
    raw file determines the packing.
    """
    if variable.dims and (own := variable.own_packing()) is not None:
        return own
    for packing in packings_for(variable.dims, variable.dtype) if regions else ():
        if all(variable.packed(region, packing) is not None for region in regions):
            return packing
    return None


def _set_attributes(target: Any, attributes: Mapping[str, Any]) -> None:  # noqa: ANN401 - a netCDF4 group or variable
    for name, value in attributes.items():
        if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
            target.setncattr_string(name, list(value))
        else:
            target.setncattr(name, value)

"""The variables of an EchoData as they are stored: numbers, strings and CF attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray import conventions

from flows.core.packing import Packing, pack
from flows.encoding.chunking import Extent

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# echopype's own choice (echopype.utils.coding): int64 nanoseconds represent a datetime64[ns]
# exactly.
_TIME_ENCODING = {
    "units": "nanoseconds since 1970-01-01T00:00:00Z",
    "calendar": "gregorian",
    "dtype": np.dtype("int64"),
}


@runtime_checkable
class PackedSource(Protocol):
    """Samples that the raw file already has in packed form, such as `flows.rawfile.samples`."""

    def packing(self) -> Packing | None:
        """The packing that decodes to the same bits; None if the samples are not packed."""

    def packed(self, region: tuple[slice, ...], packing: Packing) -> NDArray[Any]:
        """One region in the packing of `packing()`."""


class DtypeNotStorableError(TypeError):
    """A dtype that echodrop cannot store in Zarr or netCDF."""

    def __init__(self, variable: str, dtype: np.dtype[Any]) -> None:
        self.variable = variable
        self.dtype = dtype
        super().__init__(
            f"{variable} has dtype {dtype}: only numbers, times and strings are stored"
        )


@dataclass(frozen=True)
class StorableVariable:
    """One variable: its attributes are CF encoded, its values are not read yet."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attributes: Mapping[str, Any]
    data: Any

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """The values of one region."""
        return np.asarray(self.data[region])

    def packed(self, region: tuple[slice, ...], packing: Packing) -> NDArray[Any] | None:
        """One region, packed; None if the packing would change a value."""
        if isinstance(self.data, PackedSource) and packing == self.own_packing():
            return self.data.packed(region, packing)
        return pack(self.read(region), packing)

    def own_packing(self) -> Packing | None:
        """The packing of samples from the raw file; None for all other variables."""
        return self.data.packing() if isinstance(self.data, PackedSource) else None


@dataclass(frozen=True)
class StorableGroup:
    """One group: its attributes and variables, with inherited coordinates."""

    attributes: Mapping[str, Any]
    variables: Mapping[str, StorableVariable]

    def extents(self) -> dict[str, Extent]:
        """The extent of each variable, which determines its chunks."""
        return {n: (v.dims, v.shape, v.dtype.itemsize) for n, v in self.variables.items()}


def storable_groups(echodata: EchoData) -> dict[str, StorableGroup]:
    """Group path ("" for the root) -> its stored attributes and variables.

    Inherited coordinates are written in each group, as echopype does, so that a group
    opened alone has them. Strings have a fixed length, as in `EchoData.__getitem__`.
    Raises DtypeNotStorableError.
    """
    groups = {}
    for path in echodata.group_paths:
        dataset = echodata[path]
        key = "" if path == "Top-level" else path
        groups[key] = StorableGroup({}, {}) if dataset is None else _storable_group(dataset, key)
    return groups


def _storable_group(dataset: xr.Dataset, path: str) -> StorableGroup:
    # Encodings left by the parser would make xarray pack or convert.
    bare = {name: _without_encoding(v) for name, v in dataset.variables.items()}
    coordinates = dataset.coords.keys()
    dataset = xr.Dataset(bare, attrs=dataset.attrs).set_coords(coordinates)
    variables, attributes = conventions.encode_dataset_coordinates(dataset)
    storable = {str(name): _storable_variable(v, str(name)) for name, v in variables.items()}
    for name, variable in storable.items():
        if variable.dtype.kind not in "iufU":
            raise DtypeNotStorableError(f"{path}/{name}", variable.dtype)
    return StorableGroup(attributes, storable)


def _without_encoding(variable: xr.Variable) -> xr.Variable:
    bare = variable.copy(deep=False)
    bare.encoding = dict(_TIME_ENCODING) if variable.dtype.kind == "M" else {}
    return bare


def _storable_variable(variable: xr.Variable, name: str) -> StorableVariable:
    # xarray would only add a NaN _FillValue to floats, which can store NaN without it.
    if variable.dtype.kind != "f":
        variable = conventions.encode_cf_variable(variable, name=name)
    data = variable.data
    return StorableVariable(
        tuple(map(str, variable.dims)), variable.shape, data.dtype, dict(variable.attrs), data
    )

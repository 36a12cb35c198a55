"""Compares two EchoData: groups, variables and bits.

This defines lossless: dtypes, dimensions and every bit of every value are equal. So
-0.0 differs from 0.0, and a NaN from one with another payload. Values are compared
chunk by chunk, so that a lazily opened output is read once and is never in memory as a
whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.encoding.chunking import chunk_lengths, chunk_regions

if TYPE_CHECKING:
    from echopype.echodata import EchoData

Comparable: TypeAlias = "EchoData | xr.DataTree | dict[str, xr.Dataset]"

# Formats cannot keep every Python type of an attribute. So sequences are compared by their
# elements, numbers by value: JSON has neither tuples nor numpy scalars, netCDF makes arrays of
# both.
_SEQUENCES = (list, tuple, np.ndarray)


@dataclass(frozen=True)
class Difference:
    """One difference: where, what, and both sides as text."""

    group: str
    variable: str | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        """One line for a log or an error message."""
        place = f"{self.group or '/'}{f', {self.variable}' if self.variable else ''}"
        return f"{place}: {self.what}: expected {self.expected}, found {self.found}"


def differences(
    expected: Comparable,
    found: Comparable,
    *,
    string_widths: bool = True,
    only: Mapping[str, set[str]] | None = None,
) -> list[Difference]:
    """All differences between `found` and `expected`; empty if they are identical.

    string_widths: False treats `<U4` and `<U8` as the same dtype. netCDF stores strings
        without their width, so a width larger than the longest string cannot be
        restored.
    only: group path ("" for the root) -> names of the variables whose values
    are compared; of all others everything else is compared.
    """
    ours, theirs = groups_as_compared(expected), groups_as_compared(found)
    result = list(_names("", None, "groups", set(ours), set(theirs)))
    for path in sorted(ours.keys() & theirs.keys()):
        result += _group_differences(
            path, ours[path], theirs[path], string_widths, only.get(path, set()) if only else None
        )
    return result


def groups_as_compared(tree: Comparable) -> dict[str, xr.Dataset]:
    """Group path -> dataset with inherited coordinates, strings as fixed-length."""
    # echopype takes seconds to import, and the creator of an EchoData has imported it already.
    from echopype.utils.coding import sanitize_dtypes  # noqa: PLC0415

    if not isinstance(tree, dict):
        if not isinstance(tree, xr.DataTree):
            tree = tree._tree  # noqa: SLF001 - the EchoData's groups include empty ones only there
        tree = {node.path.strip("/"): node.to_dataset() for node in tree.subtree}
    return {path: sanitize_dtypes(group) for path, group in tree.items()}


def _names(
    group: str, variable: str | None, what: str, expected: set[str], found: set[str]
) -> Iterator[Difference]:
    if expected != found:
        missing, added = sorted(expected - found), sorted(found - expected)
        yield Difference(group, variable, what, f"also {missing}", f"also {added}")


def _group_differences(
    group: str,
    expected: xr.Dataset,
    found: xr.Dataset,
    string_widths: bool,  # noqa: FBT001 - passed on from a keyword
    only: set[str] | None,
) -> Iterator[Difference]:
    yield from _attribute_differences(group, None, expected.attrs, found.attrs)
    ours = {str(name) for name in expected.variables}
    theirs = {str(name) for name in found.variables}
    yield from _names(group, None, "variables", ours, theirs)
    yield from _names(
        group, None, "coordinates", set(map(str, expected.coords)), set(map(str, found.coords))
    )
    for name in sorted(ours & theirs):
        values = only is None or name in only
        yield from _variable_differences(
            group, name, expected.variables[name], found.variables[name], string_widths, values
        )


def _variable_differences(  # noqa: PLR0917 - one place and two sides
    group: str,
    name: str,
    expected: xr.Variable,
    found: xr.Variable,
    string_widths: bool,  # noqa: FBT001 - passed on from a keyword
    values: bool,  # noqa: FBT001 - passed on from a keyword
) -> Iterator[Difference]:
    yield from _attribute_differences(group, name, expected.attrs, found.attrs)
    if (expected.dims, expected.shape) != (found.dims, found.shape):
        yield Difference(group, name, "dimensions", str(expected.sizes), str(found.sizes))
        return
    same_dtype = expected.dtype == found.dtype or (
        not string_widths and expected.dtype.kind == found.dtype.kind == "U"
    )
    if not same_dtype:
        yield Difference(group, name, "dtype", str(expected.dtype), str(found.dtype))
        return
    if not values:
        return
    for region in _regions(found):
        ours, theirs = np.asarray(expected[region].values), np.asarray(found[region].values)
        unequal = ~equal_bits(ours, theirs)
        if unequal.any():
            first = tuple(int(axis[0]) for axis in np.nonzero(np.atleast_1d(unequal)))
            at = [s.start + i for s, i in zip(region, first, strict=False)]
            yield Difference(
                group,
                name,
                f"{int(unequal.sum())} values of a chunk, the first at {at}",
                repr(np.atleast_1d(ours)[first]),
                repr(np.atleast_1d(theirs)[first]),
            )
            return


def _regions(variable: xr.Variable) -> Iterator[tuple[slice, ...]]:
    """The parts to read one by one: the chunks as stored, or what would be chunks."""
    chunks = variable.encoding.get("chunks") or variable.encoding.get("chunksizes")
    if not chunks:
        extent = (tuple(map(str, variable.dims)), variable.shape, variable.dtype.itemsize)
        chunks = chunk_lengths({"": extent})[""]
    for _, region in chunk_regions(variable.shape, chunks):
        yield region


def equal_bits(expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the bits of two arrays of the same dtype and shape are equal."""
    if expected.dtype.kind == "f":
        bits = np.dtype(f"u{expected.dtype.itemsize}")
        same = np.ascontiguousarray(expected).view(bits) == np.ascontiguousarray(found).view(bits)
        return np.asarray(same).reshape(expected.shape)
    if expected.dtype.kind in "mM":
        return np.asarray(expected.view("i8") == found.view("i8"))
    return np.asarray(expected == found)


def _attribute_differences(
    group: str, variable: str | None, expected: Mapping[Any, Any], found: Mapping[Any, Any]
) -> Iterator[Difference]:
    ours, theirs = set(map(str, expected)), set(map(str, found))
    yield from _names(group, variable, "attributes", ours, theirs)
    for name in sorted(ours & theirs):
        if not _same_attribute(expected[name], found[name]):
            yield Difference(
                group, variable, f"attribute {name}", repr(expected[name]), repr(found[name])
            )


def _same_attribute(expected: object, found: object) -> bool:
    if isinstance(expected, _SEQUENCES) or isinstance(found, _SEQUENCES):
        ours, theirs = np.atleast_1d(np.asarray(expected)), np.atleast_1d(np.asarray(found))
        if ours.shape != theirs.shape:
            return False
        return all(_same_attribute(a, b) for a, b in zip(ours.flat, theirs.flat, strict=True))
    if isinstance(expected, str) or isinstance(found, str):
        return str(expected) == str(found) and isinstance(expected, str) == isinstance(found, str)
    return bool(expected == found) or (expected != expected and found != found)  # noqa: PLR0124

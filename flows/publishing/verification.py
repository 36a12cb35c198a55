"""Compares a tree opened by xarray with the encoded EchoData, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from flows.core.outcomes import OutputMismatch
from flows.encoding.chunking import is_large
from flows.publishing.identity import Comparable, differences, groups_as_compared
from flows.stores.request import VerifyMode

if TYPE_CHECKING:
    from echopype.echodata import EchoData


_DIFFERENCES_NAMED = 5


def verify_netcdf(
    output: str, path: Path, echodata: EchoData, *, mode: VerifyMode
) -> dict[str, Any]:
    """The manifest's `verification` of a netCDF file that was read back to `path`.

    The caller has compared its bytes; this opens the file.

    Raises:
        OutputMismatch: with the first differences.
    """
    with xr.open_datatree(path, engine="netcdf4", chunks=None) as tree:
        expected = groups_as_compared(echodata)
        compare_tree(output, expected, tree, whole=mode == "full", string_widths=False)
    return {
        "mode": mode,
        "objects_listed": 1,
        "objects_read": 1,
        "bytes_read": path.stat().st_size,
    }


def compare_tree(
    output: str,
    expected: dict[str, xr.Dataset],
    found: Comparable,
    *,
    whole: bool,
    string_widths: bool = True,
) -> None:
    """Compare groups, dimensions, dtypes and attributes, and the values of small or all variables.

    `expected`: the encoded groups, from `groups_as_compared`.

    Raises:
        OutputMismatch: with the first differences.
    """
    compared = {
        path: {
            str(name)
            for name, variable in group.variables.items()
            if whole or name == "ping_time" or not is_large(variable.shape)
        }
        for path, group in expected.items()
    }
    differing = differences(expected, found, only=compared, string_widths=string_widths)
    if differing:
        raise OutputMismatch(output, "; ".join(map(str, differing[:_DIFFERENCES_NAMED])))

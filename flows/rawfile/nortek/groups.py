"""Replaces the rows of a skeleton's EchoData with those of all records of an AD2CP file.

echopype opens the configuration and some records of each layout. These show all variables,
with their dtypes, widths and attributes, which follow from the layouts in the order of their
first occurrence. The skeleton's values must be equal to those that are read here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flows.core.packing import SAMPLE_DIMENSION
from flows.rawfile.nortek.layouts import fields_of_kind
from flows.rawfile.nortek.records import RecordRows, Records
from flows.rawfile.streamed import UnknownLayoutError, with_variables
from flows.walk.ad2cp import BEAM_GROUPS
from flows.walk.record_index import RAW_TRANSMIT
from flows.walk.sample_index import Int64s

# Dimensions of all records, of pings of one kind, and of transmit pulses.
TIME, PING_TIME, TRANSMIT_TIME = "time1", "ping_time", "ping_time_transmit"
TIME_DIMENSIONS = (TIME, PING_TIME, TRANSMIT_TIME)
# It has the time of its creation.
_PROVENANCE = "Provenance"


def attach_records(echodata: Any, records: Records) -> tuple[int, int]:  # noqa: ANN401 - echopype ships no types
    """Replace the rows of a skeleton's EchoData with those of all records of the file.

    Returns how many pings and samples were compared with echopype's.

    Raises:
        UnknownLayoutError: values differ from echopype's, or a variable is not known.
        OSError: the file cannot be read.
    """
    pings = samples = 0
    dated = np.flatnonzero(records.index.is_dated)
    for path, form in _groups(echodata).items():
        for name, variable in _with_rows(path, form, records, records.chosen).items():
            theirs = form.variables[name]
            same_shape = theirs.shape == variable.shape
            if not same_shape or theirs.values.tobytes() != variable.values.tobytes():
                raise UnknownLayoutError(f"{name} of {path} differs from what echopype reads")
            pings += variable.size if name == PING_TIME else 0
            samples += variable.size if SAMPLE_DIMENSION in variable.dims else 0
        echodata[path] = with_variables(form, _with_rows(path, form, records, dated))
    return pings, samples


def _with_rows(
    path: str, form: xr.Dataset, records: Records, chosen: Int64s
) -> dict[str, xr.Variable]:
    """The variables of a group that have a time dimension, with the rows of these records."""
    index = records.index
    times, ids = index.times[chosen], index.id[chosen]
    # Of records with the same time, or without one, echopype takes the first.
    _, first, place = np.unique(times, return_index=True, return_inverse=True)
    of_time = {TIME: chosen[first]}
    own = of_time
    kinds = list(dict.fromkeys(k for id_, k in BEAM_GROUPS.items() if id_ in index.id))
    if path.startswith("Sonar/"):
        kind = kinds[int(path.removeprefix("Sonar/Beam_group")) - 1]
        is_kind = np.isin(ids, [id_ for id_, name in BEAM_GROUPS.items() if name == kind])
        places = {PING_TIME: is_kind, TRANSMIT_TIME: ids == RAW_TRANSMIT}
        own = {dimension: chosen[is_own] for dimension, is_own in places.items()}
        of_time = {d: chosen[first[place.reshape(-1)[is_own]]] for d, is_own in places.items()}
    variables = {}
    for key, variable in form.variables.items():
        name, dims = str(key), tuple(map(str, variable.dims))
        if not set(dims) & set(TIME_DIMENSIONS):
            continue
        field = records.fields.get(path, {}).get(name)
        if dims[0] not in own or set(dims[1:]) & set(TIME_DIMENSIONS):
            raise UnknownLayoutError(f"{name} of {path} has other dimensions than time first")
        if name == dims[0]:
            data: Any = index.times[own[name]]
        elif field is None:
            raise UnknownLayoutError(f"{name} of {path} is not a field of the records")
        else:
            rows = (own if field in fields_of_kind() else of_time)[dims[0]]
            data = RecordRows(records, field, rows, variable.shape[1:], variable.dtype)
        variables[name] = xr.Variable(dims, data, variable.attrs, variable.encoding)
    return variables


def _groups(echodata: Any) -> dict[str, xr.Dataset]:  # noqa: ANN401 - echopype ships no types
    """Group path -> dataset without inherited variables, of groups with rows of records."""
    tree = echodata._tree  # noqa: SLF001 - echopype has no public API for all groups
    found = {node.path.strip("/"): node.to_dataset(inherit=False) for node in tree.subtree}
    return {
        path: group
        for path, group in found.items()
        if path != _PROVENANCE and set(group.dims) & set(TIME_DIMENSIONS)
    }

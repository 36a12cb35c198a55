"""Reads fields of many AD2CP records at once, by echopype's own tables.

echopype reads a record field by field, and keeps each as an array: 3 s and 80 MB for a
megabyte. Records of one layout have the same fields at the same places. So echopype parses
one of them, and its tables and methods then get each field of many records as one array.
"""

from __future__ import annotations

import copy
import functools
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import xarray as xr
from echopype.convert.parse_ad2cp import Ad2cpDataPacket, Dimension, HeaderOrDataRecordFormats
from echopype.convert.set_groups_ad2cp import SetGroupsAd2cp
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from flows.walk.sample_index import Int64s

# The fields that are the same in all records of a layout (`flows.walk.record_index`): echopype
# decides by them which other fields there are.
_OF_LAYOUT = {
    "version",
    "offset_of_data",
    "configuration",
    "serial_number",
    "num_beams_and_coordinate_system_and_num_cells",
    "num_complex_samples",
    "dataset_description",
    "velocity_scaling",
    "status0",
}


class _Place(NamedTuple):
    """A field of echopype's table, and its place in a record."""

    field: Any
    start: int
    size: int
    shape: tuple[int, ...]


class _Names(dict[str, Any]):
    """A packet's data; `written` has the names that were set."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data)
        self.written: set[str] = set()

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401 - echopype ships no types
        self.written.add(name)
        super().__setitem__(name, value)


class Layout:
    """The fields of the records of one layout.

    Args:
        record: one of them, with its header.
    """

    def __init__(self, record: bytes) -> None:
        not_raw = SimpleNamespace(
            is_echosounder_raw=lambda: False, is_echosounder_raw_transmit=lambda: False
        )
        packet = Ad2cpDataPacket(io.BytesIO(record), SimpleNamespace(packets=[not_raw]))
        self._packet, self._known = packet, dict(packet.data)
        self._places: dict[str, list[_Place]] = defaultdict(list)
        start = record[1]
        for field in packet.data_record_format.fields_iter():
            if not field.field_exists_predicate(packet):
                continue
            size = _value(field.field_entry_size_bytes, packet)
            shape = tuple(int(length) for length in _value(field.field_shape, packet))
            if field.field_name is not None:
                packet.data = _Names(self._known)
                packet._postprocess(field.field_name)  # noqa: SLF001 - echopype has no public way
                for name in {field.field_name, *packet.data.written}:
                    self._places[name].append(_Place(field, start, int(size), shape))
            start += int(size) * int(np.prod(shape))

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a field of one record; None without the field."""
        return np.shape(self._known[name]) if name in self._known else None

    def read(
        self, name: str, content: NDArray[np.uint8], starts: Int64s, *, as_written: bool = False
    ) -> NDArray[Any] | None:
        """The values of a field of some records, one row each; None without the field.

        `content` are bytes of the file (uint8), in which each record starts at `starts` (int64).
        `as_written` are the numbers of the file, without the conversion of their unit.
        """
        if name not in self._known:
            return None
        packet, varies = copy.copy(self._packet), False
        packet.data = dict(self._known)
        for field, start, size, shape in self._places[name]:
            if field.field_name not in _OF_LAYOUT:
                varies = True
                length = size * int(np.prod(shape))
                body = sliding_window_view(content, length)[starts + start]
                values = packet._parse(body.reshape(-1), field.field_entry_data_type, size)  # noqa: SLF001 - as above
                values = values.reshape(starts.size, *shape)
                if not as_written:
                    values = field.field_unit_conversion(packet, values)
                # echopype indexes from the left.
                packet.data[field.field_name] = np.moveaxis(values, 0, -1)
            packet._postprocess(field.field_name)  # noqa: SLF001 - as above
        value = np.asarray(packet.data[name])
        return (
            np.moveaxis(value, -1, 0)
            if varies
            else np.broadcast_to(value, (starts.size, *value.shape))
        )


def _value(value: Any, packet: Any) -> Any:  # noqa: ANN401 - as above
    return value(packet) if callable(value) else value


@functools.cache
def fields_of_kind() -> set[str]:
    """Fields whose rows are the records of one kind; those of others are records of distinct times."""
    return {
        field.field_name
        for record_format in HeaderOrDataRecordFormats.DATA_RECORD_FORMATS.values()
        for field in record_format.fields_iter()
        if not callable(field.field_dimensions)
        and field.field_dimensions[0] is not Dimension.PING_TIME
    }


class _Variables(SetGroupsAd2cp):  # type: ignore[misc]  # echopype ships no types
    """Collects the variables that echopype makes, instead of making them."""

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self.parser_obj = SimpleNamespace(packets=[layout._packet for layout in layouts])  # noqa: SLF001 - of this module
        self.pulse_compressed = 0
        self.found: list[dict[str, str]] = []

    def _make_dataset(self, var_names: dict[str, str]) -> xr.Dataset:
        self.found.append({variable: field for field, variable in var_names.items()})
        return xr.Dataset(coords={"ping_time": [0], "time1": [0]})


def fields_of_variables(layouts: Sequence[Layout]) -> dict[str, dict[str, str]]:
    """Group path -> variable -> field, of the file with these layouts."""
    groups = _Variables(layouts)
    parts: tuple[Callable[[], Any], ...] = (groups.set_env, groups.set_platform, groups.set_vendor)
    for part in (*parts, groups.set_beam):
        part()
    beams = (f"Sonar/Beam_group{number}" for number in range(1, len(groups.found)))
    paths = ("Environment", "Platform", "Vendor_specific", *beams)
    return cast("dict[str, dict[str, str]]", dict(zip(paths, groups.found, strict=False)))

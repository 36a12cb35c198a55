"""Joins echopype's results for the segments of a file to the result for the whole file.

Each segment is opened once, and its rows go to a scratch file; only the times of the
whole file are in memory. Some segments are opened again before the output is compared,
so that the comparison uses newly parsed rows.
"""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.core.outcomes import OutputMismatch
from flows.core.packing import SAMPLE_DIMENSION
from flows.rawfile.in_segments import Segments
from flows.rawfile.kept_rows import PING_TIME, TIME, TIME_DIMENSIONS, kept_rows, sorting
from flows.rawfile.scratch_rows import Block, JoinedRows, ScratchFile
from flows.rawfile.streamed import UnknownLayoutError

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# Opens a file with echopype: the EchoData, and the parser's warnings.
Parse: TypeAlias = "Callable[[Path], tuple[EchoData, list[str]]]"
# Group path and name of a variable.
Name: TypeAlias = tuple[str, str]

# The only group without rows that contains the time of its creation.
_PROVENANCE = "Provenance"


@dataclass
class JoinedFile:
    """A file's segments, joined.

    Attributes:
        file: its name, for messages.
        again: numbers of the segments that are opened a second time: the first, the
            last, and a random one.
        warnings: the parser's warnings, each once.
    """

    file: str
    segments: Segments
    parse: Parse
    scratch: ScratchFile
    path: Path
    again: tuple[int, ...] = ()
    warnings: list[str] = field(default_factory=list)
    _forms: dict[str, xr.Dataset] = field(default_factory=dict)
    _blocks: dict[Name, list[Block]] = field(default_factory=dict)
    _is_again: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> EchoData:
        """The EchoData of the file; its variables are read until the scratch file is closed.

        Raises:
            UnknownLayoutError: the segments do not fit together.
            ConversionFailure: echopype fails on a segment.
            OSError: the disk is full, or the raw file cannot be read.
        """
        last = len(self.segments.all) - 1
        self.again = tuple(sorted({0, last, random.randint(0, last)}))  # noqa: S311 - not used for security
        echodata: EchoData | None = None
        for number in range(last + 1):
            found, groups = self._parsed(number)
            if echodata is None:
                echodata = found
            for path, group in groups.items():
                for name, rows in group.items():
                    blocks = self._blocks.setdefault((path, name), [])
                    first = blocks[-1].first + blocks[-1].rows if blocks else 0
                    blocks.append(self.scratch.put(first, rows))
        assert echodata is not None  # noqa: S101 - there is at least one segment
        for path in dict.fromkeys(path for path, _ in self._blocks):
            echodata[path] = self._joined(path, self._forms[path])
        return echodata

    def open_again(self) -> None:
        """Open some segments a second time; from then on these rows are used.

        Raises:
            OutputMismatch: they differ from the first time.
            ConversionFailure, OSError: as from `open`.
        """
        with self._lock:
            if self._is_again:
                return
            for number in self.again:
                try:
                    _, groups = self._parsed(number)
                except UnknownLayoutError as changed:
                    raise OutputMismatch(self.file, changed.reason) from changed
                for path, group in groups.items():
                    for name, rows in group.items():
                        blocks = self._blocks[path, name]
                        block = blocks[number]
                        before = self.scratch.get(block, rows.dtype, rows.shape[1:])
                        if before.tobytes() != rows.tobytes():
                            cause = f"{name} of {path} differs when it is parsed again"
                            raise OutputMismatch(self.file, cause)
                        blocks[number] = self.scratch.put(block.first, rows)
            self._is_again = True

    def counted_again(self) -> tuple[int, int]:
        """Number of pings and samples in the segments that are opened a second time."""
        pings = samples = 0
        for (path, name), blocks in self._blocks.items():
            variable = self._forms[path].variables[name]
            rows = sum(blocks[number].rows for number in self.again)
            if name == PING_TIME:
                pings += rows
            elif SAMPLE_DIMENSION in variable.dims:
                samples += rows * int(np.prod(variable.shape[1:]))
        return pings, samples

    def _parsed(self, number: int) -> tuple[EchoData, dict[str, dict[str, NDArray[Any]]]]:
        """The result of echopype for a segment, and by group and variable the rows to keep."""
        segment = self.segments.all[number]
        self.segments.write(self.path, segment)
        echodata, warnings = self.parse(self.path)
        self.path.unlink()
        # Packets and parser refer to each other, so without this several segments stay in memory.
        gc.collect()
        self.warnings += [warning for warning in warnings if warning not in self.warnings]
        kept: dict[str, dict[str, NDArray[Any]]] = {}
        for path, group in _groups(echodata).items():
            rows = kept_rows(self.segments, segment, path, group)
            self._compare_form(path, group)
            kept[path] = {
                str(name): variable.values[rows[str(variable.dims[0])]]
                for name, variable in group.variables.items()
                if rows.keys() & set(variable.dims)
            }
        return echodata, kept

    def _compare_form(self, path: str, group: xr.Dataset) -> None:
        """Keep the group's form, or compare it with the one before."""
        form = group.isel({d: slice(0) for d in TIME_DIMENSIONS if d in group.dims})
        for name, variable in form.variables.items():
            if any(d in variable.dims[1:] for d in TIME_DIMENSIONS):
                raise UnknownLayoutError(f"{name} of {path} has another first dimension than time")
        before = self._forms.setdefault(path, form.copy(deep=True))
        if not (_form_of(before) == _form_of(form) and before.identical(form)):
            raise UnknownLayoutError(f"segments have different variables in {path}")

    def _joined(self, path: str, form: xr.Dataset) -> xr.Dataset:
        """The group of the whole file."""
        orders = {}
        if TIME in form.dims:
            orders[TIME] = sorting(self._rows(path, TIME, form)[...])
        variables = {}
        for key, variable in form.variables.items():
            name = str(key)
            if (path, name) not in self._blocks:
                variables[name] = variable
                continue
            data: Any = self._rows(path, name, form, orders.get(str(variable.dims[0])))
            if name in TIME_DIMENSIONS:
                data = data[...]
            variables[name] = xr.Variable(variable.dims, data, variable.attrs, variable.encoding)
        coordinates = set(map(str, form.coords))
        return xr.Dataset(
            {n: v for n, v in variables.items() if n not in coordinates},
            {n: v for n, v in variables.items() if n in coordinates},
            form.attrs,
        )

    def _rows(
        self, path: str, name: str, form: xr.Dataset, order: NDArray[np.int64] | None = None
    ) -> JoinedRows:
        variable = form.variables[name]
        blocks = self._blocks[path, name]
        row, dtype = variable.shape[1:], variable.dtype
        return JoinedRows(self.scratch, blocks, order, row, dtype, self.open_again)


def _groups(echodata: Any) -> dict[str, xr.Dataset]:  # noqa: ANN401 - echopype ships no types
    """Group path -> dataset without inherited variables, of groups that depend on the segment."""
    tree = echodata._tree  # noqa: SLF001 - echopype has no public API for all groups
    return {
        path: node.to_dataset(inherit=False)
        for node in tree.subtree
        if (path := node.path.strip("/")) not in {"", _PROVENANCE}
    }


def _form_of(form: xr.Dataset) -> Sequence[tuple[object, ...]]:
    """The properties that `identical` does not compare: order, dtypes, encodings."""
    return [
        (n, v.dtype, tuple(sorted(map(str, v.encoding.items())))) for n, v in form.variables.items()
    ]

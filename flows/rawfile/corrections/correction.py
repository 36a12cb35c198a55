"""One kind of correction of an EchoData."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.rawfile.streamed import numbered

# Group path as in echopype, such as "Sonar/Beam_group1" -> its Dataset.
Groups: TypeAlias = Mapping[str, xr.Dataset]
Floats: TypeAlias = NDArray[np.float64]
Int64s: TypeAlias = NDArray[np.int64]
Times: TypeAlias = NDArray[np.datetime64]


@dataclass(frozen=True)
class Correction:
    """So many values that the output has from the file, and echopype changes or drops.

    `what` is one clause for people.
    """

    what: str
    count: int

    def __str__(self) -> str:
        """The clause with the number, for Provenance."""
        return f"{self.what} ({self.count} values)"


def spread(cells: Int64s, values: Floats) -> Floats:
    """Values of pings by channel and ping time; NaN where `cells` has no ping (-1)."""
    return np.where(cells >= 0, np.append(values, np.nan)[cells], np.nan)


def places(times: Times, among: Times) -> Int64s:
    """Where each time is in `among`, -1 if it is not there; a repeated time is as often there."""
    at = {key: place for place, key in enumerate(numbered(among))}
    return np.array([at.get(key, -1) for key in numbered(times)], np.int64)

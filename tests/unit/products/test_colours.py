"""The colours of a picture are those of the named colour map."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from flows.products.drawing.colours import Palette


@pytest.mark.parametrize("name", ["viridis", "RdBu_r"])
def test_tables_are_matplotlibs(name: str) -> None:
    palette = Palette({name})
    own = palette.maps[name]
    found = palette.colours[own.first : own.first + own.count].astype(np.float64)
    expected = np.array(colormaps[name](np.linspace(0, 1, own.count)))[:, :3] * 255
    # matplotlib has 256 steps of its own, up to three levels apart.
    np.testing.assert_allclose(found, expected, atol=3.5)

"""The colours of pictures: a palette of numbers, and the colour maps in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of Simrad's EK500: 12 colours, and white below.
_EK500 = "9f9f9f 5f5f5f 0000ff 00007f 00bf00 007f00 ffff00 ff7f00 ff00bf ff0000 a6533c 783c28"
_GREYS = 32
#: Numbers that each palette has; between black and white are greys.
BLACK, WHITE, NO_DATA, PASSIVE = 0, _GREYS - 1, _GREYS, _GREYS + 1
_FIXED = np.array(
    [*([level * 255 // (_GREYS - 1)] * 3 for level in range(_GREYS)), [239, 230, 212], [185, 220, 242]],
    np.uint8,
)  # fmt: skip


@dataclass(frozen=True)
class ColourMap:
    """A colour map in a palette: numbers from `first` on, and that of values below the limits."""

    first: int
    count: int
    below: int

    def numbers(
        self, values: NDArray[np.float32], limits: tuple[float, float]
    ) -> NDArray[np.uint8]:
        """The palette's number of each value; of NaN NO_DATA. Any shape."""
        low, high = limits
        of_step = np.array(
            [self.below, *range(self.first, self.first + self.count), NO_DATA], np.uint8
        )
        steps = np.floor((values - np.float32(low)) * np.float32(self.count / (high - low)))
        steps = np.clip(steps, -1, self.count - 1) + 1
        return of_step[np.where(np.isnan(steps), self.count + 1, steps).astype(np.intp)]


class Palette:
    """At most 256 colours: greys, two of our own, and those of some colour maps.

    Attributes:
        colours: red, green and blue of each number (n by 3).
        maps: the colour maps by name.

    Raises:
        ValueError: there is no colour map of such a name.
    """

    def __init__(self, names: set[str]) -> None:
        colours = [_FIXED]
        self.maps: dict[str, ColourMap] = {}
        for name in sorted(names):
            first = sum(map(len, colours))
            found = _colours_of(name, (256 - len(_FIXED)) // len(names))
            colours.append(found)
            self.maps[name] = ColourMap(first, len(found), WHITE if name == "ek500" else first)
        self.colours = np.concatenate(colours)


def _colours_of(name: str, most: int) -> NDArray[np.uint8]:
    """The colours of `ek500`, of one of cmocean such as `haline`, or of one of matplotlib."""
    if name == "ek500":
        return np.frombuffer(bytes.fromhex(_EK500), np.uint8).reshape(-1, 3)
    # Their import takes longer than the drawing, and most pictures need neither.
    import cmocean  # noqa: PLC0415
    from matplotlib import colormaps  # noqa: PLC0415

    if name in cmocean.cm.cmapnames:
        found = getattr(cmocean.cm, name)
    elif name in colormaps:
        found = colormaps[name]
    else:
        raise ValueError(f"no colour map of ek500, cmocean or matplotlib is named {name}")
    shown = found(np.linspace(0, 1, min(most, found.N)))
    colours: NDArray[np.uint8] = np.round(shown[:, :3] * 255).astype(np.uint8)
    return colours

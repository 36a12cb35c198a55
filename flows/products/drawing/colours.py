"""The colours of pictures: a palette of numbers, and the colour maps in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of Simrad's EK500: 12 colours, and white below.
_EK500 = "9f9f9f 5f5f5f 0000ff 00007f 00bf00 007f00 ffff00 ff7f00 ff00bf ff0000 a6533c 783c28"
# Two of matplotlib, whose import takes as long as the picture: evenly spaced colours, between which
# red, green and blue are linear. `RdBu` is ColorBrewer's.
_VIRIDIS = (
    "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a"
    "3a538b38598c355e8d33638d31688e2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d"
    "20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7793dbc7446c06f50c46a5ac864"
    "65cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725"
)  # fmt: skip
_RDBU_R = "0530612166ac4393c392c5ded1e5f0f7f7f7fddbc7f4a582d6604db2182b67001f"
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
    if table := {"viridis": _VIRIDIS, "RdBu_r": _RDBU_R}.get(name):
        known = np.frombuffer(bytes.fromhex(table), np.uint8).reshape(-1, 3)
        at = np.linspace(0, len(known) - 1, min(most, 256))
        mixed = [np.interp(at, np.arange(len(known)), known[:, part]) for part in range(3)]
        return np.round(np.column_stack(mixed)).astype(np.uint8)
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

"""A picture of at most 256 colours: each pixel is a number of its palette.

Text and lines are drawn by Pillow. Greys are neighbours in the palette, so that the soft
edges of letters, which Pillow mixes from two numbers, are greys too.
"""

from __future__ import annotations

import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from flows.products.drawing.colours import BLACK, WHITE, Palette

#: Numbers of a palette: rows by columns.
Pixels = NDArray[np.uint8]
# Half the bytes of no compression at all, as fast; higher levels take several times as long.
_COMPRESSION = 1


class Box(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` are the first pixels outside."""

    left: int
    top: int
    right: int
    bottom: int


class Written(NamedTuple):
    """A text of the picture and where its anchor is."""

    text: str
    x: int
    y: int


class Canvas:
    """A white picture to draw on.

    Attributes:
        palette: its colours.
        image: what is drawn so far.
        texts: all that is written on it.
    """

    def __init__(self, width: int, height: int, palette: Palette) -> None:
        self.palette = palette
        self.image = Image.new("L", (width, height), WHITE)
        self.texts: list[Written] = []
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self, place: tuple[float, float], text: str, points: float, anchor: str = "lm", *,
        bold: bool = False, ink: int = BLACK,
    ) -> None:  # fmt: skip
        """Write text; its anchor is Pillow's: left, middle or right, then its height's."""
        x, y = round(place[0]), round(place[1])
        self.texts.append(Written(text, x, y))
        font = _font(points, is_bold=bold)
        if "\n" in text:
            align = {"l": "left", "m": "center", "r": "right"}[anchor[0]]
            self._draw.multiline_text((x, y), text, ink, font, anchor, spacing=3, align=align)
        else:
            self._draw.text((x, y), text, ink, font, anchor)

    def text_upward(self, place: tuple[float, float], text: str, points: float) -> None:
        """Write text that is read from below, around its middle."""
        x, y = round(place[0]), round(place[1])
        self.texts.append(Written(text, x, y))
        font = _font(points, is_bold=False)
        left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
        label = Image.new("L", (right - left, bottom - top), WHITE)
        ImageDraw.Draw(label).text((-left, -top), text, BLACK, font)
        turned = label.transpose(Image.Transpose.ROTATE_90)
        self.image.paste(turned, (x - turned.width // 2, y - turned.height // 2))

    def line(self, *points: tuple[float, float]) -> None:
        """A thin black line."""
        self._draw.line([(round(x), round(y)) for x, y in points], BLACK)

    def triangle(self, points: list[tuple[float, float]], ink: int) -> None:
        """A filled triangle with a black edge."""
        self._draw.polygon(points, ink, BLACK)

    def frame(self, box: Box) -> None:
        """A thin black line around a box."""
        self._draw.rectangle((box.left - 1, box.top - 1, box.right, box.bottom), outline=BLACK)

    def place(self, box: Box, pixels: Pixels) -> None:
        """Fill a box."""
        self.image.paste(Image.fromarray(pixels), (box.left, box.top))

    def pixels(self, box: Box) -> Pixels:
        """What a box shows (height by width)."""
        return np.asarray(self.image.crop(box))

    def png(self) -> bytes:
        """The picture as a PNG."""
        return png_of(self.image, self.palette)


def png_of(image: Image.Image, palette: Palette) -> bytes:
    """A PNG of numbers of a palette."""
    body = io.BytesIO()
    image = image.copy()
    image.putpalette(palette.colours.tobytes())
    image.save(body, "png", compress_level=_COMPRESSION)
    return body.getvalue()


def draw_line(pixels: Pixels, x: NDArray[np.intp], y: NDArray[np.float64]) -> Pixels:
    """A black line with a white edge over pixels; no line where `y` is NaN."""
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    known = np.flatnonzero(np.isfinite(y))
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if run.size:
            # A single point is drawn one pixel wide.
            points = np.column_stack([x[run[[0, *range(run.size)]]], y[run[[0, *range(run.size)]]]])
            points[0, 0] -= 1
            for ink, width in ((WHITE, 5), (BLACK, 2)):
                pen.line([tuple(point) for point in points.tolist()], ink, width, joint="curve")
    return np.array(image)


@cache
def _font(points: float, *, is_bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, of 120 dots an inch. matplotlib has the files; it is not imported, which takes long."""
    found = find_spec("matplotlib")
    assert found is not None  # noqa: S101 - a dependency
    assert found.origin is not None  # noqa: S101 - a package with files
    name = "DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf"
    path = Path(found.origin).parent / "mpl-data/fonts/ttf" / name
    return ImageFont.truetype(path, points * 120 / 72, layout_engine=ImageFont.Layout.BASIC)

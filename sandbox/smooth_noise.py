"""Smooth random fields: what makes a drawn sea look like a patchy one."""

import numpy as np
import numpy.typing as npt

#: Samples of a field: real numbers of about zero mean and unit variance at the lattice points.
Field = npt.NDArray[np.float32]


def fractal_line(rng: np.random.Generator, count: int, scale: float, octaves: int) -> Field:
    """Give a rough line of shape (count,): noise of ``scale`` steps, and finer, fainter ones."""
    line = np.zeros(count, dtype=np.float32)
    for octave in range(octaves):
        step = max(scale / 2**octave, 1.0)
        knots = rng.standard_normal(int(count / step) + 2, dtype=np.float32)
        index, blend = _between_knots(np.arange(count, dtype=np.float32) / np.float32(step))
        line += (knots[index] * (1 - blend) + knots[index + 1] * blend) / np.float32(2**octave)
    return line


class Texture:
    """A field over pings and ranges that can be asked for piece by piece, the same each time."""

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        scales: tuple[float, float],
    ) -> None:
        """Draw the lattice for ``shape`` (pings, samples), its cells ``scales`` steps wide."""
        rows, columns = (int(n / scale) + 2 for n, scale in zip(shape, scales, strict=True))
        self._knots = rng.standard_normal((rows, columns), dtype=np.float32)
        self._scales = scales

    def at(self, pings: npt.NDArray[np.float32], samples: npt.NDArray[np.float32]) -> Field:
        """Give the field at ``pings`` (p,) by ``samples`` (s,), counted from 0: shape (p, s)."""
        row, down = _between_knots(pings / np.float32(self._scales[0]))
        column, across = _between_knots(samples / np.float32(self._scales[1]))
        return _blend(_blend(self._knots.T, column, across).T, row, down)


def _blend(knots: Field, index: npt.NDArray[np.intp], share: Field) -> Field:
    """Blend the rows of ``knots`` (k, n) behind each index, by its ``share``: shape (i, n)."""
    before: Field = knots[index]
    before += (knots[index + 1] - before) * share[:, None]
    return before


def _between_knots(position: Field) -> tuple[npt.NDArray[np.intp], Field]:
    """Split positions into the knot before each and a blend of 0 to 1 that starts and ends flat."""
    index = position.astype(np.intp)
    rest = position - index.astype(np.float32)
    return index, rest * rest * (3 - 2 * rest)

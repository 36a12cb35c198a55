"""Smooth random fields for the patchiness of the simulated sea."""

import numpy as np
import numpy.typing as npt

#: Samples of a field, with about zero mean and unit variance at the lattice points.
Field = npt.NDArray[np.float32]


def fractal_line(rng: np.random.Generator, count: int, scale: float, octaves: int) -> Field:
    """Return a rough line of shape (count,): noise of ``scale`` steps plus finer, weaker noise."""
    line = np.zeros(count, dtype=np.float32)
    for octave in range(octaves):
        step = max(scale / 2**octave, 1.0)
        knots = rng.standard_normal(int(count / step) + 2, dtype=np.float32)
        index, blend = _between_knots(np.arange(count, dtype=np.float32) / np.float32(step))
        line += (knots[index] * (1 - blend) + knots[index + 1] * blend) / np.float32(2**octave)
    return line


class Texture:
    """A field over pings and ranges. Reading it in parts gives the same values each time."""

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        scales: tuple[float, float],
    ) -> None:
        """Generate the lattice for ``shape`` (pings, samples) with cells of ``scales`` steps."""
        rows, columns = (int(n / scale) + 2 for n, scale in zip(shape, scales, strict=True))
        self._knots = rng.standard_normal((rows, columns), dtype=np.float32)
        self._scales = scales

    def at(self, pings: npt.NDArray[np.float32], samples: npt.NDArray[np.float32]) -> Field:
        """Return the field at ``pings`` (p,) by ``samples`` (s,), counted from 0: shape (p, s)."""
        row, down = _between_knots(pings / np.float32(self._scales[0]))
        column, across = _between_knots(samples / np.float32(self._scales[1]))
        return _blend(_blend(self._knots.T, column, across).T, row, down)


def _blend(knots: Field, index: npt.NDArray[np.intp], share: Field) -> Field:
    """Interpolate between the rows of ``knots`` (k, n) at each index by its ``share``: shape (i, n)."""
    before: Field = knots[index]
    before += (knots[index + 1] - before) * share[:, None]
    return before


def _between_knots(position: Field) -> tuple[npt.NDArray[np.intp], Field]:
    """Split positions into the knot before and a smooth interpolation weight from 0 to 1."""
    index = position.astype(np.intp)
    rest = position - index.astype(np.float32)
    return index, rest * rest * (3 - 2 * rest)

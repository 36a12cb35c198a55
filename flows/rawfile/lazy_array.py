"""A lazy array that is read region by region, and that xarray treats like a numpy array."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

Region: TypeAlias = tuple[slice, ...]
# numpy's protocols pass on any arguments.
Anything: TypeAlias = Any


class LazyArray(NDArrayOperatorsMixin):
    """A duck array that reads only the requested region.

    Args:
        shape: shape of the array.
        dtype: dtype of its values.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype

    @abstractmethod
    def read(self, region: Region) -> NDArray[Any]:
        """The values of one region: a slice of step 1 for each dimension."""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Anything) -> NDArray[Any]:
        """The values that numpy would return for this key."""
        region, rest = _plain(key, self.shape)
        values = self.read(region)
        return values if rest is None else values[rest]

    def __array__(self, dtype: Anything = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 - numpy's protocol
        """All values, as an array in memory."""
        if copy is False:
            raise ValueError("the values are in a file, so a copy is necessary")
        return np.asarray(self[...], dtype=dtype)

    def __array_function__(
        self, func: Callable[..., Any], _types: Anything, args: Anything, kwargs: Anything
    ) -> Anything:
        """Any other use reads the whole array."""
        return func(*_as_numpy(args), **kwargs)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Anything, **kwargs: Anything
    ) -> Anything:
        """Arithmetic reads the whole array, too."""
        return getattr(ufunc, method)(*_as_numpy(inputs), **kwargs)


def _plain(key: Anything, shape: tuple[int, ...]) -> tuple[Region, tuple[Any, ...] | None]:
    """A key as slices of step 1, and the rest of the key, to apply to their values."""
    keys = key if isinstance(key, tuple) else (key,)
    at = next((i for i, part in enumerate(keys) if part is Ellipsis), None)
    if at is not None:
        keys = keys[:at] + (slice(None),) * (len(shape) - len(keys) + 1) + keys[at + 1 :]
    keys += (slice(None),) * (len(shape) - len(keys))
    region: list[slice] = []
    rest: list[Any] = []
    for part, length in zip(keys, shape, strict=True):
        if isinstance(part, slice) and part.step in {None, 1}:
            start, stop, _ = part.indices(length)
            region.append(slice(start, max(start, stop)))
            rest.append(slice(None))
        elif isinstance(part, int | np.integer):
            at = int(part) % length
            region.append(slice(at, at + 1))
            rest.append(0)
        else:
            region.append(slice(0, length))
            rest.append(part)
    simple = all(isinstance(part, slice) and part == slice(None) for part in rest)
    return tuple(region), None if simple else tuple(rest)


def _as_numpy(arguments: Anything) -> Anything:
    if isinstance(arguments, LazyArray):
        return np.asarray(arguments)
    if isinstance(arguments, list | tuple):
        return type(arguments)(_as_numpy(argument) for argument in arguments)
    return arguments

"""Postpones the import of parts of echopype that a conversion does not use.

`import echopype` imports its calibration, cleaning, gridding and masks, and with them
scipy.signal, geopy and aiohttp: half of its time. Python's LazyLoader postpones that
until the first use, so `echopype.calibrate` still works later. scipy.signal and scipy.fftpack are
postponed by themselves: calibration and dask import them, and hardly ever use them.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

POSTPONED = frozenset(
    f"echopype.{name}" for name in ("calibrate", "clean", "commongrid", "consolidate", "mask")
) | {"scipy.signal", "scipy.fftpack"}


class _PostponingFinder(importlib.abc.MetaPathFinder):
    """Finds the postponed modules as Python does, and loads them at their first use."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if fullname not in POSTPONED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def postpone_imports() -> None:
    """From now on, import the parts that a conversion does not need at their first use."""
    if not any(isinstance(finder, _PostponingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PostponingFinder())

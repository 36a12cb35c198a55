"""Mixes the samples of a grown file's pings, so that none repeats another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flows.walk import preflight
from flows.walk.sample_index import FLOAT32

# Samples that change places with each other: so few that they stay near their range.
_MIXED = 32
_PAIR_BYTES = 8


def mix_complex_samples(path: Path, model: str) -> None:
    """Permute the float32 pairs of each ping among their neighbours, in the file itself.

    Raises:
        ValueError: the file has no pings.
    """
    index = preflight(path, model).samples
    if index is None:
        raise ValueError(f"{path}: the file has no pings")
    chosen = np.random.default_rng(1)
    content = np.memmap(path, np.uint8, "r+")
    mixed = (index.sectors > 0) & (index.kind & FLOAT32 > 0)
    rows = np.stack([index.offset, index.count, index.sectors], axis=1)[mixed]
    for offset, count, sectors in rows.tolist():
        blocks = count // _MIXED
        begin, length = offset + index.header, blocks * _MIXED * sectors * _PAIR_BYTES
        # One element is one sample with its sectors.
        samples = content[begin : begin + length].reshape(blocks, _MIXED, sectors * _PAIR_BYTES)
        order = chosen.permuted(np.tile(np.arange(_MIXED), (blocks, 1)), axis=1)
        samples[:] = np.take_along_axis(samples, order[:, :, None], 1)
    content.flush()

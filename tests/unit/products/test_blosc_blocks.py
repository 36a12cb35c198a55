"""Some blocks of a body of Blosc are decoded as all of it is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Blosc

from flows.products.sv.blosc_blocks import decoded_rows


@given(
    rows=st.integers(1, 60),
    width=st.integers(1, 900),
    dtype=st.sampled_from(["<i2", "<f4", "i1", "<f8"]),
    codec=st.builds(
        Blosc,
        cname=st.sampled_from(["zstd", "lz4", "blosclz"]),
        clevel=st.sampled_from([0, 1, 5]),
        shuffle=st.sampled_from([0, 1, 2]),
        blocksize=st.sampled_from([0, 512, 4096]),
    ),
    is_noise=st.booleans(),
    data=st.data(),
)
def test_some_rows_are_those_of_the_whole(  # noqa: PLR0917 - properties
    rows: int,
    width: int,
    dtype: str,
    codec: Blosc,
    is_noise: bool,  # noqa: FBT001 - as above
    data: st.DataObject,
) -> None:
    numbers = data.draw(st.lists(st.integers(0, rows - 1), max_size=7, unique=True).map(sorted))
    shape = (rows, width)
    values = np.random.default_rng(rows).integers(0, 100, shape) if is_noise else np.ones(shape)
    whole = values.astype(dtype)
    found = decoded_rows(codec.encode(whole), whole[0], np.array(numbers, np.intp))
    np.testing.assert_array_equal(found, whole[numbers])
    assert found.dtype == whole.dtype


def test_each_row_alone() -> None:
    whole = np.random.default_rng(1).integers(0, 100, (90, 500)).astype("<i2")
    body = Blosc(cname="zstd", blocksize=4096).encode(whole)
    for number in range(90):
        found = decoded_rows(body, whole[0], np.array([number], np.intp))
        np.testing.assert_array_equal(found, whole[[number]])

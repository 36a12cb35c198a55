from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from flows.core.packing import (
    BLOCK_SAMPLES,
    SIMRAD_POWER_STEP,
    Packing,
    pack,
    packings_for,
)

POWER = Packing(np.dtype("int16"), SIMRAD_POWER_STEP, -(2**15))
COUNTS = Packing(np.dtype("uint16"), None, 2**16 - 1)
SINGLE = Packing(np.dtype("float32"), 1.0, None)

steps = hnp.arrays(np.int16, st.integers(1, 50))


def decoded(stored: NDArray[Any], packing: Packing) -> NDArray[Any]:
    """The stored values, decoded as in xarray."""
    attributes: dict[str, Any] = {}
    if packing.scale_factor is not None:
        attributes["scale_factor"] = packing.scale_factor
    if packing.fill is not None:
        attributes["_FillValue"] = stored.dtype.type(packing.fill)
    dataset = xr.Dataset({"v": ("x", stored, attributes)})
    return np.asarray(xr.decode_cf(dataset)["v"].values)


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


@settings(deadline=None)
@given(steps)
def test_power_in_whole_steps_is_packed_and_decodes_to_its_own_bits(raw: NDArray[np.int16]) -> None:
    power = raw * SIMRAD_POWER_STEP
    packed = pack(power, POWER)
    if (raw == POWER.fill).any():
        assert packed is None
    else:
        assert packed is not None
        assert (packed == raw).all()
        assert packed.dtype == np.int16
        assert same_bits(decoded(packed, POWER), power)


@settings(deadline=None)
@given(steps)
def test_power_that_holds_the_fill_of_int16_is_packed_wider(raw: NDArray[np.int16]) -> None:
    power = np.append(raw, np.int16(-(2**15))) * SIMRAD_POWER_STEP
    assert pack(power, POWER) is None
    wider = packings_for(("ping_time", "range_sample"), power.dtype)[1]
    packed = pack(power, wider)
    assert packed is not None
    assert packed.dtype == np.int32
    assert same_bits(decoded(packed, wider), power)


@settings(deadline=None)
@given(steps, st.data())
def test_one_sample_off_by_the_last_bit_prevents_packing(
    raw: NDArray[np.int16], data: st.DataObject
) -> None:
    power = raw * SIMRAD_POWER_STEP
    at = data.draw(st.integers(0, power.size - 1))
    power[at] = np.nextafter(power[at], data.draw(st.sampled_from([-np.inf, np.inf])))
    assert pack(power, POWER) is None


@settings(deadline=None)
@given(steps, st.data())
def test_nan_is_stored_as_fill_only_where_no_sample_has_its_value(
    raw: NDArray[np.int16], data: st.DataObject
) -> None:
    power = raw * SIMRAD_POWER_STEP
    at = data.draw(st.integers(0, power.size - 1))
    power[at] = np.nan
    packed = pack(power, POWER)
    others = np.delete(raw, at)
    if (others == -(2**15)).any():
        assert packed is None
    else:
        assert packed is not None
        assert packed[at] == POWER.fill
        assert same_bits(decoded(packed, POWER), power)


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 50)))
def test_whatever_is_packed_decodes_to_its_own_bits(values: NDArray[np.float64]) -> None:
    for packing in packings_for(("ping_time", "range_sample"), values.dtype):
        packed = pack(values, packing)
        if packed is not None:
            assert same_bits(decoded(packed, packing), values)


@settings(deadline=None)
@given(hnp.arrays(np.uint16, st.integers(1, 50)))
def test_float32_counts_come_back_as_float32(raw: NDArray[np.uint16]) -> None:
    counts = raw.astype(np.float32)
    packed = pack(counts, COUNTS)
    if (raw == COUNTS.fill).any():
        assert packed is None
    else:
        assert packed is not None
        assert same_bits(decoded(packed, COUNTS), counts)


def test_every_packing_of_integers_has_a_stored_value_for_nan() -> None:
    """NaN may appear later, when files are combined, and are saved with this packing."""
    for dtype in ("float64", "float32"):
        for packing in packings_for(("ping_time", "range_sample"), np.dtype(dtype)):
            assert (packing.fill is not None) == (packing.stored.kind in "iu")


@settings(deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 50)))
def test_doubles_that_are_singles_are_stored_as_singles(raw: NDArray[np.float32]) -> None:
    packed = pack(raw.astype(np.float64), SINGLE)
    assert packed is not None
    assert same_bits(decoded(packed, SINGLE), raw.astype(np.float64))


@pytest.mark.parametrize("odd", [-0.0, np.inf, -np.inf, 1e300, 2**15 * SIMRAD_POWER_STEP])
def test_values_that_int16_has_no_place_for_prevent_packing(odd: float) -> None:
    power = np.arange(2.0 * BLOCK_SAMPLES) % 100 * SIMRAD_POWER_STEP
    assert pack(power, POWER) is not None
    power[-1] = odd
    assert pack(power, POWER) is None


@pytest.mark.parametrize("packing", [POWER, COUNTS, SINGLE], ids=["power", "counts", "single"])
@pytest.mark.parametrize("odd", [0xFFF8000000000000, 0x7FF8000000000001, 0x7FF0000000000001])
def test_a_nan_of_its_own_prevents_packing(packing: Packing, odd: int) -> None:
    """A fill value decodes to numpy's NaN; a NaN with another sign or payload would be lost."""
    if packing is COUNTS:
        odd32 = (odd >> 32 & 0x80000000) | 0x7FC00000 | (odd & 1) | (0x400000 if odd & 1 else 0)
        plain = np.array([1, np.nan], np.float32)
        own = np.array([1.0, np.nan], np.float32)
        own.view(np.uint32)[1] = odd32
    else:
        plain = np.array([SIMRAD_POWER_STEP if packing is POWER else 1.0, np.nan])
        own = plain.copy()
        own.view(np.uint64)[1] = odd
    assert pack(plain, packing) is not None
    packed = pack(own, packing)
    if packed is not None:
        # A conversion from double to single keeps the sign and a part of the payload.
        assert packing is SINGLE
        back = decoded(packed, packing)
        assert back.tobytes() == own.tobytes()


def test_a_double_beyond_single_precision_prevents_storing_singles() -> None:
    assert pack(np.array([1.0, 1e300]), SINGLE) is None
    assert pack(np.array([1.0, 0.1]), SINGLE) is None


def test_only_samples_are_packed() -> None:
    assert packings_for(("channel", "ping_time"), np.dtype("float64")) == ()
    assert packings_for(("channel", "ping_time", "range_sample"), np.dtype("int8")) == ()
    assert POWER in packings_for(("ping_time", "range_sample"), np.dtype("float64"))

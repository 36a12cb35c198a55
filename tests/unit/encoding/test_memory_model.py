from __future__ import annotations

import pytest

from flows.memory_model import UnknownSonarModelError, peak_bytes

# (model, file bytes, swap, measured peak in MB): benchmarks/memory_fit.py.
MEASURED = [
    ("EK60", 10_655_004, False, 376),
    ("EK60", 100_446_160, False, 1174),
    ("EK60", 200_890_504, False, 2116),
    ("EK80", 11_640_092, False, 626),
    ("EK80", 100_253_756, False, 3354),
    ("AZFP", 1_013_040, False, 274),
    ("AZFP", 9_961_560, False, 313),
    ("AZFP", 49_976_640, False, 509),
    ("AD2CP", 1_007_730, False, 325),
    ("AD2CP", 10_057_050, False, 1032),
    ("EK60", 100_446_160, True, 873),
    ("EK80", 100_253_756, True, 1111),
    ("EK80", 200_425_724, True, 1203),
]


@pytest.mark.parametrize(("model", "size", "swap", "megabytes"), MEASURED)
def test_a_task_of_the_modelled_size_holds_what_was_measured(
    model: str,
    size: int,
    swap: bool,  # noqa: FBT001 - pytest passes it by name
    megabytes: int,
) -> None:
    modelled = peak_bytes(model, size, use_swap=swap)
    assert megabytes * 1e6 <= modelled <= megabytes * 1.35e6


def test_models_of_one_format_take_the_same() -> None:
    assert peak_bytes("ES70", 10**9) == peak_bytes("ek60", 10**9)
    assert peak_bytes("EA640", 10**9) == peak_bytes("EK80", 10**9)


def test_swap_is_only_for_simrad() -> None:
    assert peak_bytes("AZFP", 10**9, use_swap=True) == peak_bytes("AZFP", 10**9)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownSonarModelError, match="EK90"):
        peak_bytes("EK90", 1)

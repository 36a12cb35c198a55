from __future__ import annotations

import pytest

from flows.memory_model import UnknownSonarModelError, peak_bytes

# (model, file bytes, swap, measured peak in MB): benchmarks/memory_fit.py.
MEASURED = [
    ("EK60", 10_655_004, False, 295),
    ("EK60", 100_446_160, False, 1066),
    ("EK60", 200_890_504, False, 1922),
    ("EK80", 11_640_092, False, 570),
    ("EK80", 100_253_756, False, 3272),
    ("EK80", 200_425_724, False, 6261),
    ("AZFP", 10_130_400, False, 241),
    ("AD2CP", 10_257_300, False, 990),
    ("EK60", 100_446_160, True, 804),
    ("EK80", 100_253_756, True, 861),
]


@pytest.mark.parametrize(("model", "size", "swap", "megabytes"), MEASURED)
def test_a_task_of_the_modelled_size_holds_what_was_measured(
    model: str,
    size: int,
    swap: bool,  # noqa: FBT001 - pytest passes it by name
    megabytes: int,
) -> None:
    modelled = peak_bytes(model, size, use_swap=swap)
    assert megabytes * 1e6 <= modelled <= megabytes * 1.25e6


def test_models_of_one_format_take_the_same() -> None:
    assert peak_bytes("ES70", 10**9) == peak_bytes("ek60", 10**9)
    assert peak_bytes("EA640", 10**9) == peak_bytes("EK80", 10**9)


def test_swap_is_only_for_simrad() -> None:
    assert peak_bytes("AZFP", 10**9, use_swap=True) == peak_bytes("AZFP", 10**9)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownSonarModelError, match="EK90"):
        peak_bytes("EK90", 1)

from __future__ import annotations

import pytest

from flows.memory_model import UnknownSonarModelError, peak_bytes

# (model, file bytes, measured peak in MB): benchmarks/memory_fit.py.
MEASURED = [
    ("EK60", 100_446_160, 365),
    ("EK80", 100_253_756, 353),
    ("AZFP", 1_013_040, 274),
    ("AZFP", 9_961_560, 313),
    ("AZFP", 49_976_640, 509),
    ("AD2CP", 1_007_730, 325),
    ("AD2CP", 10_057_050, 1032),
]


@pytest.mark.parametrize(("model", "size", "megabytes"), MEASURED)
def test_a_task_of_the_modelled_size_holds_what_was_measured(
    model: str, size: int, megabytes: int
) -> None:
    modelled = peak_bytes(model, size)
    assert megabytes * 1e6 <= modelled <= megabytes * 1.35e6


def test_models_of_one_format_take_the_same() -> None:
    assert peak_bytes("ES70", 10**9) == peak_bytes("ek60", 10**9)
    assert peak_bytes("EA640", 10**9) == peak_bytes("EK80", 10**9)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownSonarModelError, match="EK90"):
        peak_bytes("EK90", 1)

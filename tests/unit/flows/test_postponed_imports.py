"""A conversion imports echopype without the parts that it does not use; they still work later."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_IMPORT = "import sys; from flows.rawfile.echopype_reader import import_echopype; echopype = import_echopype()\n"


def _printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _IMPORT + code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_what_a_conversion_does_not_use_is_not_imported() -> None:
    heavy = {"scipy.signal", "scipy.fft", "geopy", "aiohttp", "boto3"}
    assert _printed(f"print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_postponed_parts_of_echopype_still_work() -> None:
    code = (
        "from echopype.clean import remove_background_noise\n"
        "import echopype.mask.api\n"
        "print(echopype.calibrate.compute_Sv.__name__, remove_background_noise.__name__, "
        "echopype.commongrid.compute_MVBS.__name__, echopype.consolidate.add_depth.__name__, "
        "echopype.mask.apply_mask.__name__)"
    )
    names = "compute_Sv remove_background_noise compute_MVBS add_depth apply_mask"
    assert _printed(code) == names

"""EchoData of the real files, opened once per worker, and stores of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import echopype
import pytest
import xarray as xr
from echopype.echodata import EchoData

REAL_FILES = [
    "ek60/D20070724-T042400.raw",
    "ek80/EK80_-D20221108-T151353.raw",
    "ek80/-1519668699940320059.raw",
    "ek80/2917763601822576513.raw",
    "azfp/15100520-Test.01A",
    "ad2cp/SG198_0099_a.ad2cp",
]


@pytest.fixture(params=REAL_FILES)
def real_file(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def open_real(real_data: Path, expected: dict[str, dict[str, Any]]) -> Callable[[str], EchoData]:
    @cache
    def opened(name: str) -> EchoData:
        facts = expected[name]
        xml = facts["xml_path"]
        return echopype.open_raw(
            str(real_data / name),
            facts["sonar_model"],
            xml_path=str(real_data / xml) if xml else None,
        )

    return opened


@pytest.fixture
def echodata(open_real: Callable[[str], EchoData], real_file: str) -> EchoData:
    return open_real(real_file)


@pytest.fixture
def ek60(open_real: Callable[[str], EchoData]) -> EchoData:
    return open_real(REAL_FILES[0])


@pytest.fixture
def store(tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    """Write the objects of an encoded store to a folder."""

    def lay(objects: Mapping[str, bytes]) -> Path:
        root = tmp_path / "out.zarr"
        for key, body in objects.items():
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(body)
        return root

    return lay


@pytest.fixture
def echodata_of() -> Callable[[Mapping[str, xr.Dataset]], EchoData]:
    """An EchoData with the given groups, for data that no real file has."""

    def built(groups: Mapping[str, xr.Dataset]) -> EchoData:
        # With a path it does not look for swap files when it is deleted.
        made = EchoData(converted_raw_path="in-memory.zarr")
        made._set_tree(xr.DataTree.from_dict(dict(groups), name="root"))
        return made

    return built

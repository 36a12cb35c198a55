"""Converted files, each once for each test process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.products.opened_output import open_output
from sandbox.sea.sample_file import write_sample
from tests import conversions

AZFP_XML = "azfp/15100804.XML"

#: `converted("ek60/D20070724-T042400.raw")`: the path of its Zarr store.
Converted = Callable[..., Path]


@pytest.fixture(scope="session")
def converted(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Convert a real file, or one of the fleet's by its name alone."""
    done: dict[tuple[str, str], Path] = {}
    folder = tmp_path_factory.mktemp("outputs")

    def convert_once(file: str, model: str, suffix: str = ".zarr") -> Path:
        if (file, suffix) not in done:
            fleet = real_data.parent / "cases" / "simrad"
            raw = real_data / file if "/" in file else fleet / file
            xml = real_data / AZFP_XML if model == "AZFP" else None
            output_type = "netcdf" if suffix == ".nc" else "zarr"
            output = folder / (raw.name + suffix)
            made = conversions.converted(raw, output, model, xml_path=xml, output_type=output_type)
            done[file, suffix] = Path(made.output)
        return done[file, suffix]

    return convert_once


@pytest.fixture(scope="session")
def _sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder / "s.raw", pings=9, samples=700, channels=(200_000, 38_000))
    conversions.converted(folder / "s.raw", folder)
    return folder


@pytest.fixture
def sample(_sample: Path, tmp_path: Path) -> Path:
    """A copy of the converted sample file, with its manifest: 9 pings on 200 and 38 kHz."""
    folder = tmp_path / "outputs"
    shutil.copytree(_sample, folder)
    return folder / "s.zarr"


@pytest.fixture
def echodata(sample: Path) -> Any:
    """The opened sample."""
    return open_output(str(sample))

"""A file that does not fit in memory is swapped to disk, and nothing of it stays there."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from flows import opened_raw
from flows.conversion import OpenedRaw, convert, open_raw, save
from flows.identity import differences
from flows.memory_model import peak_bytes
from flows.outcomes import BadFile
from flows.publication import Published
from flows.raw_opening import import_echopype
from flows.request import ConversionRequest
from flows.run_artifacts import manifest_rows
from flows.size_tiers import MODELS
from flows.swap import SwapFolder, memory_plan, swap_removed
from flows.task_resources import TaskResources

MB = 10**6
_EK60 = "ek60/D20070724-T042400.raw"


def quiet(_stage: str, _fraction: float) -> None:
    pass


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process puts temporary files."""
    # It makes a folder of its own there when it is first imported.
    import_echopype()
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def request(real_data: Path, tmp_path: Path, **changes: Any) -> ConversionRequest:
    return ConversionRequest(
        **{
            "raw_file": str(real_data / _EK60),
            "sonar_model": "EK60",
            "output_path": str(tmp_path / "out.zarr"),
            "output_type": "zarr",
            "verify": "full",
            **changes,
        }
    )


def test_only_what_does_not_fit_is_swapped_and_only_where_that_helps() -> None:
    assert not memory_plan("EK80", 50 * MB, 4000 * MB).swap
    plan = memory_plan("EK80", 200 * MB, 4000 * MB)
    assert plan.swap
    assert plan.expected_bytes == peak_bytes("EK80", 200 * MB, use_swap=True) < plan.usable_bytes
    # echopype's blocks alone are more than a small file.
    assert not memory_plan("EK80", 1 * MB, 100 * MB).swap
    assert not memory_plan("AD2CP", 200 * MB, 4000 * MB).swap


@pytest.mark.parametrize("model", MODELS)
def test_asked_for_it_is_done_where_the_model_can(model: str) -> None:
    assert not memory_plan(model, 10**12, 1, use_swap=False).swap
    can = model not in {"AZFP", "AZFP6", "AD2CP"}
    assert memory_plan(model, 1, 10**12, use_swap=True).swap == can


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_a_swapped_file_is_published_verified_and_its_folder_gone(
    real_data: Path, tmp_path: Path, temporary: Path, output_type: str
) -> None:
    asked = request(
        real_data,
        tmp_path,
        use_swap=True,
        output_type=output_type,
        output_path=str(tmp_path / f"out.{'nc' if output_type == 'netcdf' else 'zarr'}"),
    )
    with swap_removed(open_raw(asked, quiet)) as opened:
        assert isinstance(opened, OpenedRaw)
        assert opened.echodata["Sonar/Beam_group1"]["backscatter_r"].chunks is not None
        assert [path.name[:14] for path in temporary.iterdir()] == ["echodrop-swap-"]
        done = save(opened, quiet)
        assert isinstance(done, Published)
        engine: Any = "netcdf4" if output_type == "netcdf" else "zarr"
        with xr.open_datatree(done.output, engine=engine, chunks=None) as tree:
            assert differences(opened.echodata, tree, string_widths=False) == []
    assert list(temporary.iterdir()) == []
    memory = done.manifest["memory"]
    assert memory["swap"]
    assert memory["expected_bytes"] == peak_bytes(
        "EK60", done.manifest["source"]["bytes"], use_swap=True
    )
    assert any("swapped to disk" in row["value"] for row in manifest_rows(done.manifest))


def test_the_task_s_memory_decides(
    real_data: Path, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file that swapping helps has 70 MB at least; without echopype's blocks it need not.
    monkeypatch.setattr("flows.memory_model._SWAP_BLOCKS", 0)
    monkeypatch.setattr(opened_raw, "task_resources", lambda: TaskResources(1.0, 512 * 2**20))
    done = convert(request(real_data, tmp_path))
    assert isinstance(done, Published)
    assert done.manifest["memory"]["swap"]
    assert list(temporary.iterdir()) == []
    monkeypatch.setattr(opened_raw, "task_resources", lambda: TaskResources(1.0, 1024 * 2**20))
    again = convert(request(real_data, tmp_path, overwrite=True))
    assert isinstance(again, Published)
    assert again.manifest["memory"] == {
        "expected_bytes": peak_bytes("EK60", again.manifest["source"]["bytes"]),
        "usable_bytes": round(0.8 * 2**30) - 200 * MB,
        "swap": False,
    }


@pytest.mark.parametrize("error", [KeyError("odd"), SystemExit(143)])
def test_a_parser_that_ends_amid_swapping_leaves_nothing(
    real_data: Path,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    seen: list[str] = []

    def fail(*_: object, **__: object) -> None:
        # The samples are on disk by now.
        seen.extend(path.name[:9] for path in temporary.glob("echodrop-swap-*/*"))
        raise error

    monkeypatch.setattr("echopype.convert.set_groups_ek60.SetGroupsEK60.set_env", fail)
    with pytest.raises((BadFile, SystemExit)):
        convert(request(real_data, tmp_path, use_swap=True))
    assert seen == ["ep-swap--"]
    assert list(temporary.iterdir()) == []


def test_a_folder_that_nobody_closes_goes_with_its_owner(temporary: Path) -> None:
    folder = SwapFolder()
    (folder.path / "samples").write_bytes(b"x")
    with pytest.warns(ResourceWarning):
        del folder
    assert list(temporary.iterdir()) == []
    # And closing twice is no error.
    folder = SwapFolder()
    shutil.rmtree(folder.path)
    folder.close()
    folder.close()

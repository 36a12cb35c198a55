"""A local publication that is stopped between its last renames: the next run cleans up."""

from __future__ import annotations

import dataclasses
import errno
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.conversion import OpenedRaw, open_raw, save
from flows.core.locations import LocalLocation
from flows.core.outcomes import DiskFault, OutputConflict
from flows.publishing.local_publishing import FolderOutput
from flows.publishing.publication import Published, Skipped
from flows.stores.request import ConversionRequest

Save = Callable[..., Published | Skipped]

_handlers: dict[str, Callable[[str], None]] = {}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _handlers:
        _handlers[event](str(arguments[0]))


# Receives each rename and removal before it happens. An audit hook cannot be removed.
sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def _remove_handlers() -> Iterator[None]:
    yield
    _handlers.clear()


@pytest.fixture(scope="module")
def opened(real_data: Path) -> OpenedRaw:
    raw = str(real_data / "ek80" / "-1519668699940320059.raw")
    found = open_raw(
        ConversionRequest(raw_file=raw, sonar_model="EK80", output_path="none"), lambda *_: None
    )
    assert isinstance(found, OpenedRaw)
    return found


@pytest.fixture
def save_to(opened: OpenedRaw) -> Save:
    """Saves the file like a run that begins now."""

    def save_it(output: Path, *, overwrite: bool = False) -> Published | Skipped:
        published = FolderOutput(LocalLocation(output)).published()
        request = opened.request.model_copy(
            update={
                "output_path": str(output),
                "output_type": "zarr" if output.suffix == ".zarr" else "netcdf",
                "overwrite": overwrite,
                "owner": uuid.uuid4().hex,
            }
        )
        it = dataclasses.replace(
            opened, request=request, manifest_at_start=published.etag if published else None
        )
        return save(it, lambda *_: None)

    return save_it


def stop_at(event: str, ending: str, error: BaseException, *, after: int = 0) -> None:
    """Raise once, at an event with such a path, after `after` earlier ones."""
    left = after

    def handle(path: str) -> None:
        nonlocal left
        if path.endswith(ending):
            left -= 1
            if left < 0:
                del _handlers[event]
                raise error

    _handlers[event] = handle


@pytest.mark.parametrize(
    ("name", "renames", "error"),
    [
        pytest.param("o.zarr", 0, SystemExit(143), id="store, at the swap"),
        pytest.param("o.zarr", 1, OSError(errno.ENOSPC, "full"), id="store, amid the swap"),
        pytest.param("o.zarr", 2, SystemExit(143), id="store, at its manifest"),
        pytest.param("o.nc", 0, OSError(errno.ENOSPC, "full"), id="file, at the swap"),
        pytest.param("o.nc", 1, SystemExit(143), id="file, at its manifest"),
    ],
)
def test_a_stop_between_the_renames_is_cleared_by_the_next_run(
    save_to: Save, tmp_path: Path, name: str, renames: int, error: BaseException
) -> None:
    output = tmp_path / name
    save_to(output)
    stop_at("os.rename", name, error, after=renames)
    # Errors of the disk are named as such.
    with pytest.raises(SystemExit if isinstance(error, SystemExit) else DiskFault):
        save_to(output, overwrite=True)
    assert not output.with_name(f"{name}.manifest.json").exists()
    # Even if runs fail repeatedly before that step, the output is known as ours.
    stop_at("open" if output.suffix == ".nc" else "os.mkdir", f"-{name}", SystemExit(143))
    with pytest.raises(SystemExit):
        save_to(output)
    assert _handlers == {}
    assert isinstance(save_to(output), Published)
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.manifest.json"}
    assert FolderOutput(LocalLocation(output)).published() is not None


def test_a_stop_before_the_old_manifest_is_deleted_leaves_the_old_output(
    save_to: Save, tmp_path: Path
) -> None:
    output = tmp_path / "o.zarr"
    save_to(output)
    before = FolderOutput(LocalLocation(output)).published()
    stop_at("os.remove", ".manifest.json", SystemExit(143))
    with pytest.raises(SystemExit):
        save_to(output, overwrite=True)
    assert FolderOutput(LocalLocation(output)).published() == before
    assert isinstance(save_to(output), Skipped)
    assert {path.name for path in tmp_path.iterdir()} == {"o.zarr", "o.zarr.manifest.json"}


@pytest.mark.parametrize("name", ["o.zarr", "o.nc"])
def test_a_disk_that_is_full_keeps_the_old_output(
    save_to: Save, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / name
    save_to(output)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    def full(path: Path, _body: bytes) -> None:
        path.write_bytes(b"a part of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        # For a netCDF file this is only the manifest.
        patch.setattr("flows.stores.durable_files.write_synced", full)
        with pytest.raises(DiskFault, match="No space left"):
            save_to(output, overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert isinstance(save_to(output), Skipped)


def test_a_manifest_without_its_output_is_not_valid(save_to: Save, tmp_path: Path) -> None:
    save_to(tmp_path / "o.nc")
    (tmp_path / "o.nc").unlink()
    assert isinstance(save_to(tmp_path / "o.nc"), Published)


def test_a_person_s_file_at_the_place_of_a_killed_run_is_kept(
    save_to: Save, tmp_path: Path
) -> None:
    output = tmp_path / "o.nc"
    (tmp_path / "o.nc.claim.json").touch()
    stop_at("open", "-o.nc", SystemExit(143))
    with pytest.raises(SystemExit):
        save_to(output)
    output.write_text("mine")
    with pytest.raises(OutputConflict, match="an output without a manifest"):
        save_to(output)
    assert output.read_text() == "mine"

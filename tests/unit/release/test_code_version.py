"""The version of the code depends only on the files of its images."""

import shutil
from pathlib import Path

import pytest

from release.code_version import ROOT, code_version, image_files


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for path in (*image_files(), ROOT / ".dockerignore"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


def version(root: Path) -> str:
    found = code_version(root)
    assert found is not None
    return found.version


def test_the_version_depends_only_on_the_files(checkout: Path) -> None:
    assert version(checkout) == version(ROOT)


@pytest.mark.parametrize("name", ["Dockerfile", "flows/core/outcomes.py", "image/worker.txt"])
def test_a_changed_file_of_an_image_changes_the_version(checkout: Path, name: str) -> None:
    before = version(checkout)
    with (checkout / name).open("a") as file:
        file.write("\n# changed\n")
    assert version(checkout) != before


def test_a_renamed_or_deleted_file_changes_the_version(checkout: Path) -> None:
    before = version(checkout)
    (checkout / "flows/core/outcomes.py").rename(checkout / "flows/renamed.py")
    renamed = version(checkout)
    (checkout / "flows/renamed.py").unlink()
    assert len({before, renamed, version(checkout)}) == 3


def test_files_outside_the_image_do_not_change_the_version(checkout: Path) -> None:
    before = version(checkout)
    (checkout / "docs.md").write_text("words")
    (checkout / "flows/__pycache__").mkdir(exist_ok=True)
    (checkout / "flows/__pycache__/a.pyc").write_bytes(b"code")
    assert version(checkout) == before


def test_without_a_checkout_there_is_no_version(tmp_path: Path) -> None:
    assert code_version(tmp_path) is None

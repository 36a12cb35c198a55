"""The images have only the project's pinned packages, each with hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
UNUSED = {"pims", "imageio", "slicerator", "tifffile"}
NOT_FOR_IMAGES = {"moto", "cheroot", "pytest", "hypothesis", "mypy", "ruff", "uv", "awslambdaric"}


def pins(path: Path) -> dict[str, set[str]]:
    """Return the pinned versions of each package; there may be several with markers."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


@pytest.mark.parametrize("image", ["task", "worker"])
def test_every_package_has_the_tested_version(image: str) -> None:
    tested = pins(ROOT / "constraints.txt")
    for name, versions in pins(ROOT / f"image/{image}.txt").items():
        assert versions <= tested[name], name


@pytest.mark.parametrize("image", ["task", "worker"])
def test_every_package_has_its_hashes(image: str) -> None:
    text = (ROOT / f"image/{image}.txt").read_text()
    pinned, *entries = re.split(r"(?m)^(?=[a-z0-9])", text)
    assert pinned.startswith("#")
    assert len(entries) > 50
    assert not [entry for entry in entries if "--hash=sha256:" not in entry]
    assert "://" not in text


def test_the_task_has_all_dependencies_of_the_flow() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {canonicalize_name(Requirement(item).name) for item in project["dependencies"]}
    assert needed <= set(pins(ROOT / "image/task.txt"))


def test_no_image_has_unused_packages() -> None:
    task, worker = (set(pins(ROOT / f"image/{name}.txt")) for name in ("task", "worker"))
    assert not task & (NOT_FOR_IMAGES | UNUSED | {"prefect-aws"})
    assert not worker & (NOT_FOR_IMAGES | UNUSED | {"echopype", "xarray", "zarr", "numpy", "dask"})
    assert {"prefect", "prefect-aws"} <= worker


def test_the_docker_build_context_has_only_what_the_dockerfile_copies() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied)

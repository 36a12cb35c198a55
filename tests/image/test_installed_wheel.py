"""A wheel, built and installed in a new environment: one package, with its data, that works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = str(Path(sys.executable).with_name("uv"))
_SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
# Without the stars; `echodrop` itself is where the others go.
ROOMS = [name[:-1] for name in _SETTINGS["packages"]["find"]["include"] if name != "echodrop*"]
NAMES = (*ROOMS, *_SETTINGS["py-modules"])
IMPORTS = re.compile(rf"^\s*(from|import) ({'|'.join(NAMES)})\b", re.MULTILINE)
DATA = {".json", ".toml", ".txt", ".html", ".js", ".css", ".svg", ".md"}

# One worker builds it.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


# Nothing is found in this clone.
ENVIRONMENT = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}


def ran(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def run(*command: str, cwd: Path) -> str:
    done = ran(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution; `make setup` has cached what builds it."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    # A build leaves files behind in its source.
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        if not name.startswith(("docs/", "tests/")) and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    run(UV, "build", "--offline", "--quiet", "--python", sys.executable, "--out-dir", str(folder), cwd=source)  # fmt: skip
    assert len(list(folder.glob("echodrop-*.tar.gz"))) == 1
    (built,) = folder.glob("echodrop-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment's programs; the other packages are this environment's."""
    folder = tmp_path_factory.mktemp("venv")
    run(UV, "venv", "--quiet", "--python", sys.executable, str(folder), cwd=folder)
    python = folder / "bin" / "python"
    run(UV, "pip", "install", "--offline", "--quiet", "--no-deps", "--python", str(python), str(wheel), cwd=folder)  # fmt: skip
    (site,) = folder.glob("lib/python*/site-packages")
    # The line of a .pth file adds the folder alone: no .pth file in it is read.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def test_the_wheel_has_one_package_with_all_modules_and_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        texts = [archive.read(name).decode() for name in names if name.endswith(".py")]
    assert {name.partition("/")[0] for name in names} == {"echodrop", f"{wheel.stem.partition('-py3')[0]}.dist-info"}  # fmt: skip
    tracked = run("git", "ls-files", "echodrop", *ROOMS, cwd=ROOT).splitlines()
    wanted = {name for name in tracked if Path(name).suffix in {".py", *DATA}}
    wanted = {name if name.startswith("echodrop/") else f"echodrop/{name}" for name in wanted}
    # The Lambdas are built from a clone.
    missing = {name for name in wanted - names if not re.search(r"requirements.*\.txt$", name)}
    assert missing == set()
    assert not [text for text in texts if IMPORTS.search(text)]


def test_the_installed_command_and_functions_work(installed: Path, tmp_path: Path) -> None:
    command = str(installed / "echodrop")
    assert re.fullmatch(r"echodrop \d+\.\d+\.\d+\n", run(command, "--version", cwd=tmp_path))
    for name in ("a", "b"):
        run(command, "sample", "write", f"in/{name}.raw", "--pings", "5", cwd=tmp_path)
    # Two processes, which import the package again.
    printed = run(command, "convert", "in", "out", "--jobs", "2", cwd=tmp_path)
    assert sorted(printed.split()) == [str(tmp_path / "out" / f"{name}.zarr") for name in "ab"]
    assert "versions of" in run(command, "doctor", cwd=tmp_path)
    assert "Compare inbox, outputs and flow runs" in run(command, "--help", cwd=tmp_path)
    for each in ("status", "replay", "reconcile", "backfill"):
        run(command, each, "--help", cwd=tmp_path)
    program = (
        "import sys, echodrop; print(echodrop.convert('in/a.raw', 'a.nc').output, "
        "echodrop.check('in/a.raw').condition, echodrop.__file__); "
        f"assert not set({NAMES}) & set(sys.modules)"
    )
    output, condition, place = run(str(installed / "python"), "-c", program, cwd=tmp_path).split()
    assert (output, condition) == (str(tmp_path / "a.nc"), "intact")
    assert place.startswith(str(installed.parent))


def test_a_command_that_needs_a_clone_says_so(installed: Path, tmp_path: Path) -> None:
    done = ran(str(installed / "echodrop"), "demo", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("This command needs a clone of the repository")

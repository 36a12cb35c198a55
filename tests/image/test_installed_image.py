"""Installs the images without docker and runs a conversion and the worker from them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from image.write_metadata import main as write_metadata
from sandbox.sea.sample_file import write_sample

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TASK_PACKAGES = ("flows", "operations", "events", "lambda_trigger", "watchdog")
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Image:
    """An installed image: a root folder with packages, app and scratch, and its environment."""

    root: Path
    environment: Mapping[str, str]

    def run(self, *command: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.root / "packages/bin" / command[0]), *command[1:]],
            env={**self.environment, **more},
            cwd=self.root / "app",
            capture_output=True,
            text=True,
            check=False,
            timeout=480,
        )


def dockerfile_environment(root: Path) -> dict[str, str]:
    """Return the runtime stage's ENV, with its paths changed to `root`."""
    stage = DOCKERFILE.split(" AS runtime\n")[1].split("\nFROM ")[0]
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", stage, flags=re.MULTILINE)
    environment = dict(item.split("=", 1) for item in block.replace("\\\n", " ").split())
    moved = {"/opt/echodrop": "packages", "/app": "app", "/scratch": "scratch"}
    for name, value in environment.items():
        for place, folder in moved.items():
            value = value.replace(place, str(root / folder))  # noqa: PLW2901 - one place after another
        environment[name] = value.replace("$PATH", os.defpath)
    return environment


def image_python() -> str:
    """Return the Dockerfile's Python version if this machine has it, otherwise this Python."""
    (wanted,) = re.findall(r"^ARG PYTHON_IMAGE=python:(\d+\.\d+)", DOCKERFILE, flags=re.MULTILINE)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [f"python{wanted}", *map(str, pyenv.glob(f"{wanted}.*/bin/python"))]
    script = "import sys; print('{}.{}'.format(*sys.version_info))"
    for candidate in filter(shutil.which, candidates):
        # A name on PATH may be a pyenv shim that only lists versions.
        done = subprocess.run(
            [candidate, "-c", script], capture_output=True, text=True, check=False
        )
        if done.stdout.strip() == wanted:
            return candidate
    return sys.executable


def install(target: str, root: Path) -> Image:
    """Install a target as the Dockerfile does."""
    for folder in ("app", "scratch"):
        (root / folder).mkdir(parents=True)
    packages = root / "packages"
    subprocess.run([UV, "venv", "--quiet", "--python", image_python(), packages], check=True)
    subprocess.run(
        [
            *(UV, "pip", "install", "--quiet", "--python", packages / "bin/python"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
            *("--requirement", ROOT / f"image/{target}.txt"),
        ],
        check=True,
    )
    if target == "task":
        ignored = shutil.ignore_patterns("__pycache__")
        for package in TASK_PACKAGES:
            shutil.copytree(ROOT / package, root / "app" / package, ignore=ignored)
        for module in ("sonar_models.py", "task_sizes.py"):
            shutil.copy(ROOT / module, root / "app")
        write_metadata(ROOT / "pyproject.toml", root / "app")
    # The image is compiled when it is built; here modules are compiled when first used.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    return Image(root, dockerfile_environment(root) | compiled)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    root = tmp_path_factory.mktemp("task-image")
    yield install("task", root)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    root = tmp_path_factory.mktemp("worker-image")
    yield install("worker", root)
    shutil.rmtree(root)


def test_the_dockerfile_installs_the_same() -> None:
    for target in ("task", "worker"):
        assert f"COPY image/{target}.txt /build/requirements.txt" in DOCKERFILE
    copied = re.findall(r"^COPY ([\w.]+) /app/\1$", DOCKERFILE, flags=re.MULTILINE)
    assert sorted(copied) == sorted([*TASK_PACKAGES, "sonar_models.py", "task_sizes.py"])
    assert DOCKERFILE.count("install --require-hashes --no-deps --only-binary=:all:") == 2


@pytest.mark.xdist_group("task-image")
def test_a_file_is_converted_from_the_image(task: Image, tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.raw", pings=20)
    before = set((task.root / "app").rglob("*"))
    script = (
        "import sys\n"
        "from flows.convert_raw_sonar import convert_raw_sonar\n"
        "print(convert_raw_sonar(sys.argv[1], 'EK60', output_path=sys.argv[2], output_type='zarr'))"
    )
    done = task.run(
        *("python", "-c", script, str(tmp_path / "sample.raw"), str(tmp_path)),
        # Without a server Prefect starts one for this run.
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
        # A busy machine needs longer than Prefect's 20 s to start it.
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="180",
        ECHODROP_PRODUCTS="on",
    )
    assert done.returncode == 0, done.stderr
    output = Path(done.stdout.split()[-1])
    assert output == tmp_path / "sample.zarr"
    manifest = json.loads((tmp_path / "sample.zarr.manifest.json").read_text())
    assert manifest["software"]["echodrop"] == version("echodrop")
    assert manifest["output"]["objects"] > 10
    record = json.loads((tmp_path / "sample.zarr.products.json").read_text())
    assert {each["state"] for each in record["products"].values()} == {"made"}, record
    assert set((task.root / "app").rglob("*")) == before


@pytest.mark.xdist_group("task-image")
@pytest.mark.parametrize(
    "command", [("prefect", "version"), ("python", "-c", "import flows.runs.execute_run")]
)
def test_the_ecs_command_is_installed(task: Image, command: tuple[str, ...]) -> None:
    done = task.run(*command)
    assert done.returncode == 0, done.stderr


@pytest.mark.xdist_group("task-image")
def test_the_reconciliation_is_installed_with_its_imports(task: Image) -> None:
    script = "from operations.reconcile.reconcile_flow import reconcile_inbox as f; print(f.name)"
    done = task.run("python", "-c", script)
    assert done.stdout.strip() == "reconcile-inbox", done.stderr


@pytest.mark.xdist_group("task-image")
def test_the_task_has_no_other_packages(task: Image) -> None:
    names = ["moto", "pytest", "prefect_aws", "aws_lambda_powertools", "sandbox", "echodrop"]
    script = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    assert task.run("python", "-c", script).stdout.strip() == "[]"


@pytest.mark.xdist_group("worker-image")
def test_the_worker_starts_from_the_image(worker: Image) -> None:
    done = worker.run("prefect", "worker", "start", "--help")
    assert done.returncode == 0, done.stderr
    assert "--with-healthcheck" in done.stdout
    script = "import prefect_aws.workers.ecs_worker, prefect_aws.observers.ecs"
    done = worker.run("python", "-c", script)
    assert done.returncode == 0, done.stderr


@pytest.mark.xdist_group("worker-image")
def test_the_worker_cannot_convert_files(worker: Image) -> None:
    names = ["flows", "echopype", "numpy", "moto", "lambda_trigger"]
    script = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    assert worker.run("python", "-c", script).stdout.strip() == "[]"

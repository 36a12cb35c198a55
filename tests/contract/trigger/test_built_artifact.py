from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.contract.runtime_api import RuntimeApi, start_function

FORBIDDEN = {"prefect", "echopype", "numpy", "pydantic", "flows", "events", "sandbox"}


def test_it_imports_nothing_but_what_the_runtime_brings(artifact: Path, packages: Path) -> None:
    script = "import sys, lambda_trigger.handler; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": f"{artifact}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=artifact,
        capture_output=True,
        text=True,
        check=True,
    )
    packages_used = {name.partition(".")[0] for name in result.stdout.split()}
    assert packages_used.isdisjoint(FORBIDDEN)
    beyond = packages_used - sys.stdlib_module_names - {"__main__", "lambda_trigger"}
    assert {name for name in beyond if not name.startswith("_")} == {"urllib3"}


def test_the_zip_is_small(artifact: Path, tmp_path: Path) -> None:
    archive = tmp_path / "trigger.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in artifact.rglob("*"):
            packed.write(path, path.relative_to(artifact))
    assert archive.stat().st_size <= 1_500_000


def test_the_artifact_holds_the_trigger_alone(artifact: Path) -> None:
    assert {path.name for path in artifact.iterdir()} == {"lambda_trigger"}
    suffixes = {path.suffix for path in artifact.rglob("*") if path.is_file()}
    assert suffixes == {".py", ".pyc"}


def test_without_its_settings_every_invocation_fails_loudly(
    artifact: Path, packages: Path, tmp_path: Path
) -> None:
    with RuntimeApi() as api, (tmp_path / "log").open("wb") as log:
        process = start_function(
            artifact,
            "lambda_trigger.handler.handler",
            api,
            environment={},
            packages=[packages],
            output=log,
        )
        try:
            api.wait_for_first_next(60)
            for _ in range(2):
                answer = api.invoke({"Records": [{"messageId": "1", "body": "{}"}]})
                assert answer.error is not None
                assert "PREFECT_API_URL is not set" in answer.error["errorMessage"]
        finally:
            process.kill()
            process.wait()
    assert "ConfigurationError" in (tmp_path / "log").read_text()


def test_the_makefile_builds_without_any_python(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    build = ["make", "--silent", "-C", str(root / "lambda_trigger"), "build-Trigger"]
    variables = [f"ARTIFACTS_DIR={tmp_path}", "RUNTIME_PYTHON=/no/such/python"]
    subprocess.run(build + variables, check=True)
    built = {path.name for path in (tmp_path / "lambda_trigger").iterdir()}
    assert built == {path.name for path in (root / "lambda_trigger").glob("*.py")}

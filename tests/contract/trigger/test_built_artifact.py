from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.contract.runtime_api import RuntimeApi, start_function
from tests.contract.trigger.conftest import build_artifact

ROOT = Path(__file__).resolve().parents[3]
FORBIDDEN = {"boto3", "prefect", "echopype", "numpy", "pydantic", "flows", "events", "sandbox"}
BROUGHT_BY_THE_RUNTIME = {"urllib3"}
IN_THE_ARTIFACT = {"aws_lambda_powertools", "jmespath", "typing_extensions"}


def test_it_imports_only_its_own_packages_and_the_runtimes(artifact: Path, packages: Path) -> None:
    modules = imported(artifact, packages)
    used = {name.partition(".")[0] for name in modules}
    assert used.isdisjoint(FORBIDDEN)
    beyond = (
        used
        - sys.stdlib_module_names
        - {*("__main__", "lambda_trigger", "sonar_models", "task_sizes")}
    )
    # Powertools checks for botocore, for sessions that the trigger never creates.
    beyond -= {"botocore"}
    assert not [name for name in modules if name.startswith("botocore.")]
    assert {name for name in beyond if not name.startswith("_")} == (
        BROUGHT_BY_THE_RUNTIME | IN_THE_ARTIFACT
    )


def test_only_logger_and_metrics_of_powertools_are_imported(artifact: Path, packages: Path) -> None:
    heavy = ("event_handler", "utilities.data_classes", "utilities.batch", "utilities.parser")
    modules = imported(artifact, packages)
    names = {name.removeprefix("aws_lambda_powertools.") for name in modules}
    assert "logging.logger" in names
    assert [name for name in names if name.startswith(heavy)] == []


def imported(artifact: Path, packages: Path) -> list[str]:
    """Import the handler as the runtime does; return every module that is loaded then."""
    script = "import sys, lambda_trigger.handler; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": f"{artifact}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=artifact,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


def test_the_zip_has_at_most_1_5_mb(artifact: Path, tmp_path: Path) -> None:
    archive = tmp_path / "trigger.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in artifact.rglob("*"):
            packed.write(path, path.relative_to(artifact))
    assert archive.stat().st_size <= 1_500_000


def test_the_artifact_contains_only_the_trigger_and_its_packages(artifact: Path) -> None:
    found = {path.name for path in artifact.iterdir()} - {"__pycache__"}
    assert found == {
        *("lambda_trigger", "sonar_models.py", "task_sizes.py"),
        *("aws_lambda_powertools", "jmespath", "typing_extensions.py"),
    }
    suffixes = {path.suffix for path in artifact.rglob("*") if path.is_file()}
    assert suffixes == {".py", ".pyc", ".typed"}


def test_the_artifact_has_the_tested_package_versions() -> None:
    pin = re.compile(r"^([a-z-]+==[\w.]+)", re.MULTILINE)
    wanted = pin.findall((ROOT / "lambda_trigger/requirements.txt").read_text())
    assert {name.partition("==")[0].replace("-", "_") for name in wanted} == IN_THE_ARTIFACT
    assert set(wanted) <= set(pin.findall((ROOT / "constraints.txt").read_text()))


def test_without_settings_every_invocation_fails(
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


def test_it_builds_without_the_runtimes_python(tmp_path: Path) -> None:
    built = build_artifact(tmp_path, "/no/such/python")
    files = (path for path in (built / "lambda_trigger").rglob("*") if path.is_file())
    assert {path.relative_to(built) for path in files} == {
        path.relative_to(ROOT) for path in (ROOT / "lambda_trigger").rglob("*.py")
    }
    assert not list(built.rglob("*.pyc"))

"""`echodrop doctor` says of each part of this machine whether it is well, and what to do if not."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

from echodrop.command_line import app
from sandbox.parts.ports import free_port

pytestmark = pytest.mark.usefixtures("no_account")


def doctor(out: Path | str, prefect: str | None = None) -> tuple[int, list[str]]:
    with temporary_settings({PREFECT_API_URL: prefect}):
        done = CliRunner().invoke(app, ["doctor", "--out", str(out)])
    return done.exit_code, done.stdout.splitlines()


def test_a_machine_that_can_convert_has_no_problem(tmp_path: Path) -> None:
    code, lines = doctor(tmp_path / "not" / "yet")
    assert code == 0, lines
    assert all(line.startswith(("ok  ", "NOTE  ", "     ")) for line in lines)
    assert any(line.startswith("NOTE     AWS credentials: none") for line in lines)
    assert not list(tmp_path.iterdir())


def test_each_problem_has_a_line_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    for name, text in (
        ("ACCESS_KEY_ID", "k"),
        ("SECRET_ACCESS_KEY", "s"),
        ("ENDPOINT_URL", closed),
    ):
        monkeypatch.setenv(f"AWS_{name}", text)
    requires = ["zarr<1", "no-such-package>=2", "xarray", "nothing; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda _name: requires)
    full = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: full)
    code, lines = doctor(tmp_path, f"{closed}/api")
    assert code == 1
    problems = [n for n, line in enumerate(lines) if line.startswith("PROBLEM  ")]
    subjects = [
        "package zarr: ",
        "package no-such-package: is not installed",
        "room in the temporary folder",
        f"room in the output {tmp_path}: 0.0 GB",
        "AWS credentials: ",
        f"S3 endpoint {closed}: ",
        f"Prefect's API at {closed}/api/: ",
    ]
    assert len(problems) == len(subjects)
    for place, subject in zip(problems, subjects, strict=True):
        assert lines[place].startswith(f"PROBLEM  {subject}"), lines[place]
        assert lines[place + 1].startswith("         ")
    assert lines[problems[0] + 1].strip() == "pip install 'zarr<1'"


@pytest.mark.parametrize("out", ["/proc/x", "{file}/out", "http://127.0.0.1/x", "s3://no_such/x"])
def test_an_output_that_cannot_be_written_is_a_problem(out: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    code, lines = doctor(out.format(file=file))
    assert code == 1
    (problem,) = [line for line in lines if line.startswith("PROBLEM")]
    assert problem.startswith(f"PROBLEM  output {out.format(file=file)}: ")

"""What the command line promises: exit codes for scripts, the path alone on standard output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from echodrop.command_line import app
from flows.detected_model import detected_model
from sonar_models import SONAR_MODELS
from tests.file_heads import file_head

runner = CliRunner()


@pytest.mark.parametrize("model", SONAR_MODELS)
def test_the_model_is_detected_as_the_trigger_does(tmp_path: Path, model: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(file_head(model))
    assert detected_model(str(path), {}) == model


def test_convert_prints_the_path_alone_and_leaves_a_verified_store(
    real_data: Path, tmp_path: Path
) -> None:
    raw = real_data / "ek80" / "2917763601822576513.raw"
    done = runner.invoke(app, ["convert", str(raw), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    output = Path(done.stdout.strip())
    assert output == tmp_path / "out" / "2917763601822576513.zarr"
    assert (output / "zarr.json").is_file()
    manifest = json.loads((tmp_path / "out" / f"{output.name}.manifest.json").read_text())
    assert manifest["sonar"] == {"model": "EK80", "found_by": "bytes"}
    again = runner.invoke(app, ["convert", str(raw), str(tmp_path / "out")])
    assert again.exit_code == 0
    assert "Skipped" in again.stderr


def test_corrections_can_be_switched_off(fleet_files: Path, tmp_path: Path) -> None:
    raw = str(fleet_files / "simrad" / "ek80_tag.raw")
    for option, count in (("--corrections", 2), ("--no-corrections", 0)):
        output = tmp_path / f"{count}.zarr"
        done = runner.invoke(app, ["convert", raw, str(output), option])
        assert done.exit_code == 0, done.output
        manifest = json.loads((tmp_path / f"{count}.zarr.manifest.json").read_text())
        assert len(manifest["corrections"]) == count


def test_a_name_that_starts_with_a_dash_can_be_given(real_data: Path, tmp_path: Path) -> None:
    raw = real_data / "ek80" / "-1519668699940320059.raw"
    shutil.copy(raw, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        done = runner.invoke(app, ["convert", "--", raw.name, "out.nc"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out.nc").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [
        (["convert", "{cut}", "{out}"], 1, "BadFile: {cut}"),
        (["convert", "{cut}", "{out}", "--model", "EK80"], 1, "WrongModel: {cut}"),
        (
            ["convert", "{text}", "{out}"],
            1,
            "BadFile: {text}: its first bytes match no known sonar",
        ),
        (["convert", "{cut}", "{out}", "--model", "EK61"], 2, "EK61"),
        (["convert", "{absent}", "{out}", "--model", "EK60"], 1, "the file does not exist"),
        (["check", "{cut}"], 1, "truncated"),
        (["check", "{text}"], 1, "not this format"),
        (["check", "{whole}"], 0, "intact"),
        (["check", "{absent}"], 2, "{absent}"),
    ],
)
def test_each_end_has_its_exit_code_and_names_the_file(
    real_data: Path, tmp_path: Path, arguments: list[str], code: int, printed: str
) -> None:
    whole = real_data / "ek60" / "D20070724-T042400.raw"
    cut = tmp_path / "cut.raw"
    cut.write_bytes(whole.read_bytes()[:-1000])
    text = tmp_path / "notes.raw"
    text.write_text("not a raw file at all, whatever its name says")
    places = {
        "whole": str(whole),
        "cut": str(cut),
        "text": str(text),
        "absent": str(tmp_path / "absent.raw"),
        "out": str(tmp_path / "out"),
    }
    done = runner.invoke(app, [argument.format_map(places) for argument in arguments])
    assert done.exit_code == code, done.output
    assert printed.format_map(places) in done.output.replace("\n", "")
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_a_sample_can_be_written_and_checked(tmp_path: Path) -> None:
    sample = tmp_path / "sea.raw"
    assert runner.invoke(app, ["sample", "write", str(sample), "--pings", "5"]).exit_code == 0
    assert runner.invoke(app, ["check", str(sample)]).exit_code == 0


def test_replay_without_settings_says_which_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "ECHODROP_RULES_PARAMETER"):
        monkeypatch.delenv(name, raising=False)
    fixture = Path(__file__).parents[2] / "events" / "fixtures" / "azfp-data-first.json"
    done = runner.invoke(app, ["replay", str(fixture)])
    assert done.exit_code == 2
    assert "PREFECT_API_URL is not set" in done.output.replace("\n", " ")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--dlq", "--since", "1h"], ["s3://inbox/a.raw", "--dlq"], ["s3://inbox/a.raw", "b.json"]],
)
def test_replay_takes_one_choice_at_a_time(arguments: list[str]) -> None:
    done = runner.invoke(app, ["replay", *arguments])
    assert done.exit_code == 2
    assert "give one of" in done.output or "in separate calls" in done.output


@pytest.mark.parametrize("option", ["--rate=1", "--limit=1", "--json", "--force"])
def test_replay_says_which_option_is_not_for_what_it_was_given(option: str) -> None:
    done = runner.invoke(app, ["replay", "a.json", option])
    assert done.exit_code == 2
    assert f"{option.partition('=')[0]} does not apply to notifications" in done.output

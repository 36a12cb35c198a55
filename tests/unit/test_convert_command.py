"""What `echodrop convert` promises for several files: folders, parallel, resumed, one summary."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from echodrop.command_line import app
from echodrop.conversions import REMEDIES, Ended, Job, run_all
from echodrop.lazy_commands import EXAMPLES, LazyCommand
from flows.core.outcomes import ConversionFailure
from flows.core.run_ends import RunEnd
from sandbox.sea.sample_file import write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "sea.raw", pings=20, samples=50).path


@pytest.fixture
def cruise(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two whole files and a cut one; the working directory is above it."""
    folder = tmp_path / "cruise"
    (folder / "leg2").mkdir(parents=True)
    shutil.copy(sample, folder / "a.raw")
    shutil.copy(sample, folder / "leg2" / "a.raw")
    (folder / "cut.RAW").write_bytes(sample.read_bytes()[:-100])
    monkeypatch.chdir(tmp_path)
    return folder


def convert(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["convert", *arguments])


def files(folder: Path) -> set[str]:
    """The outputs and what is left beside them."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {name for name in names if ".zarr/" not in name}


@pytest.mark.slow
def test_a_folder_is_converted_in_parallel_and_the_same_command_resumes(
    cruise: Path, tmp_path: Path
) -> None:
    done = convert("cruise/", "out", "--jobs", "2", "--survey", "S07")
    out = tmp_path / "out"
    assert done.exit_code == 1, done.output
    assert sorted(done.stdout.split()) == [f"{out}/a.zarr", f"{out}/leg2/a.zarr"]
    assert re.search(r"2 +published *\n +1 +BadFile", done.stderr)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"BadFile: {cruise}/cut.RAW: truncated")
    again = convert("cruise", "out", "--allow-partial")
    assert again.exit_code == 0, again.output
    assert re.search(r"2 +skipped *\n +1 +partial", again.stderr)
    assert again.stderr.splitlines()[-1].startswith(f"partial: {cruise}/cut.RAW: bytes ")
    manifests = {"a.zarr.manifest.json", "cut.zarr.manifest.json", "leg2/a.zarr.manifest.json"}
    assert files(out) == {"a.zarr", "cut.zarr", "leg2", "leg2/a.zarr", *manifests}


def test_a_partial_output_does_not_look_whole(cruise: Path) -> None:
    for _ in ("converted", "skipped"):
        done = convert("cruise/cut.RAW", "out", "--allow-partial")
        assert done.exit_code == 0, done.output
        partial, missing = done.stderr.splitlines()[-2:]
        assert partial == f"partial: the output has only a part of {cruise}/cut.RAW"
        assert missing.startswith("missing: bytes ")


@pytest.mark.parametrize(
    ("arguments", "code", "lines"),
    [
        ("cruise/a.raw cruise/leg2/a.raw o", 2, r"o/a.zarr: would be the output of .*a.raw and "),
        ("cruise o.zarr", 2, "o.zarr: is one output"),
        ("cruise/a.raw cruise/cut.RAW", 2, "cruise/cut.RAW: an output ends in .zarr or .nc"),
        ("cruise/a.raw o.h5", 2, "o.h5: an output ends in .zarr or .nc; .* write o.h5/"),
        ("cruise/a.bot o", 2, "a.bot: is a sidecar, not a raw file"),
        ("cruise/a.bot cruise/a.xml o", 2, "only sidecars"),
        ("empty o", 2, "empty: holds no raw files"),
        ("ftp://a/b.raw o", 2, "not ftp://"),
        ("cruise/a.raw http://a/b", 2, r"http://a/b: an output is a path or s3://"),
        ("cruise/a.raw o --model EK61", 2, "EK61 is none of EK60"),
        ("cruise/a.raw o.nc --type zarr", 2, "o.nc: its ending contradicts"),
        ("absent.raw o", 1, "BadFile: .*absent.raw: the file does not exist"),
        ("cruise/a.raw /proc/x/", 1, "DiskFault: /proc/x/a.zarr: .*\nto do: choose a folder"),
        ("cruise/a.raw cruise/a.raw/o", 1, "DiskFault: .*Not a directory.*\nto do: choose"),
        ("azfp.01A o", 1, "settings XML is required for AZFP.*\nto do: .*--xml FILE"),
        ("cruise/a.raw o --model EK80", 1, "WrongModel: .*\nto do: leave --model out"),
        ("cruise/cut.RAW o", 1, "BadFile: .*truncated.*\nto do: .*--allow-partial"),
    ],
)
def test_a_refusal_is_a_line_with_the_file_and_what_to_do(
    cruise: Path, arguments: str, code: int, lines: str
) -> None:
    (cruise.parent / "empty").mkdir()
    (cruise.parent / "azfp.01A").write_bytes(b"\xfd\x02" + bytes(1000))
    done = convert(*arguments.split())
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    text = re.sub(r"\s*[│╭╮╰╯─]+\s*", " ", done.stderr)
    assert re.search(lines, text), text
    assert len(done.stderr.splitlines()) <= 4
    assert not (cruise.parent / "o").exists() or not files(cruise.parent / "o")


def test_a_dry_run_lists_what_would_be_done_and_does_nothing(cruise: Path) -> None:
    assert convert("cruise/a.raw", "out").exit_code == 0
    before = files(cruise.parent)
    listed = convert("cruise/", "out", "--dry-run")
    assert listed.exit_code == 0, listed.output
    assert files(cruise.parent) == before
    out = cruise.parent / "out"
    assert listed.stdout.splitlines() == [
        f"already published: {cruise}/a.raw (EK60) -> {out}/a.zarr",
        f"would convert: {cruise}/cut.RAW (EK60) -> {out}/cut.zarr",
        f"would convert: {cruise}/leg2/a.raw (EK60) -> {out}/leg2/a.zarr",
    ]


class Deadly:
    """Ends the process that unpickles it, as the kernel ends one that takes too much memory."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (9,)


@pytest.mark.slow
def test_a_process_that_dies_fails_its_own_file_alone(cruise: Path, tmp_path: Path) -> None:
    raws = [str(cruise / "a.raw"), "deadly.raw", str(cruise / "leg2" / "a.raw")]
    jobs = [Job(raw, str(tmp_path / str(n))) for n, raw in enumerate(raws)]
    jobs[1].fields["chunks"] = Deadly()
    shown: list[Ended] = []
    ended = run_all(jobs, 1, shown.append)
    assert [each.outcome for each in ended] == ["published", "Crashed", "published"]
    assert ended == shown


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_done_and_the_same_command_continues(
    sample: Path, tmp_path: Path
) -> None:
    inbox, out = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    for number in range(8):
        shutil.copy(sample, inbox / f"{number}.raw")
    command = [sys.executable, "-m", "echodrop", "convert", str(inbox), str(out), "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        # One file is published.
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    left = files(out)
    published = {name for name in left if name.endswith(".zarr")}
    assert 1 <= len(published) < 8
    assert left == published | {f"{name}.manifest.json" for name in published}
    assert not _running(inbox)
    assert convert(str(inbox), str(out), "--jobs", "1").exit_code == 0
    assert len(files(out)) == 16


def _running(folder: Path) -> list[str]:
    """The processes whose command names a folder."""
    deadline = time.monotonic() + 10
    while True:
        lines = [
            path.read_bytes().decode(errors="replace")
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if path.exists()
        ]
        if not (found := [line for line in lines if str(folder) in line]):
            return []
        if time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_every_failure_of_a_conversion_has_a_remedy_for_the_terminal() -> None:
    not_at_a_terminal = {"PartlyFailed", "AllFailed", "FileFault", "InvalidParameters"}
    names = {
        name
        for name, end in RunEnd.reported.items()
        if issubclass(end, ConversionFailure) and name not in not_at_a_terminal
    }
    assert names <= REMEDIES.keys()


def test_each_command_has_examples_that_parse() -> None:
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    for line in (line for lines in EXAMPLES.values() for line in lines):
        group, words = root, shlex.split(line)
        while isinstance(group, TyperGroup):
            found = group.commands[words.pop(0)]
            if not isinstance(found, TyperGroup):
                break
            group = found
        summary = found.get_short_help_str(200)
        assert isinstance(found, LazyCommand)
        found = found.load()
        assert found.get_short_help_str(200) == summary
        found.make_context(line, words)
        text = CliRunner().invoke(app, [*line.split()[: 2 if group is not root else 1], "--help"])
        assert f"echodrop {line}" in map(str.strip, text.output.splitlines())


def test_what_check_prints_is_not_cut_in_a_pipe(cruise: Path) -> None:
    checked = CliRunner().invoke(app, ["check", "cruise/cut.RAW"])
    assert checked.exit_code == 1
    lines = checked.stdout.splitlines()
    assert "condition: truncated" in lines
    (damage,) = [line for line in lines if line.startswith("damage: ")]
    assert len(damage) > 100


def test_the_version_and_the_completion_are_there() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert re.fullmatch(r"echodrop \d+\.\d+\.\d+\n", shown.output)
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output

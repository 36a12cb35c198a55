"""What `from echodrop import convert, check` promises: plain functions, quick, without Prefect."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import echodrop
from flows.core import outcomes
from sandbox.sea.sample_file import write_sample

PROGRAM = """
import json, sys
from pathlib import Path
import echodrop
quick = sorted({name.partition(".")[0] for name in sys.modules})
raw, out = sys.argv[1:]
summary = echodrop.check(raw)
done = echodrop.convert(Path(raw), out, platform="Bigelow", survey="S07", water_level=1.5)
again = echodrop.convert(raw, out)
after = sorted({name.partition(".")[0] for name in sys.modules})
facts = [done.output, done.skipped, done.missing, done.partial, again.skipped, again.output]
print(json.dumps([quick, after, summary.condition, facts, again.manifest == done.manifest]))
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "sea.raw", pings=20, samples=50).path


@pytest.mark.slow
def test_a_conversion_imports_neither_prefect_nor_the_command_line(
    sample: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(sample), str(tmp_path / "out")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    quick, after, condition, facts, same = json.loads(ran.stdout)
    assert not {"numpy", "boto3", "xarray", "echopype", "prefect", "typer", "rich"} & set(quick)
    assert not {"prefect", "typer", "operations", "sandbox", "lambda_trigger"} & set(after)
    output = str(tmp_path / "out" / "sea.zarr")
    assert condition == "intact"
    assert facts == [output, None, None, False, f"{sample} is already published", output]
    assert same
    tree = xr.open_datatree(output, engine="zarr", chunks={})
    assert tree["Platform"].attrs["platform_name"] == "Bigelow"
    assert float(tree["Platform"]["water_level"]) == 1.5
    assert tree["/"].attrs["survey_name"] == "S07"


def test_a_damaged_file_is_converted_in_part_on_demand(sample: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.raw"
    cut.write_bytes(sample.read_bytes()[:-100])
    assert echodrop.check(cut).condition == "truncated"
    with pytest.raises(echodrop.BadFile, match="truncated") as failure:
        echodrop.convert(cut, tmp_path)
    assert isinstance(failure.value, echodrop.ConversionFailure)
    done = echodrop.convert(cut, tmp_path / "cut.nc", allow_partial=True)
    assert done.partial
    assert done.missing is not None
    assert "lost" in done.missing
    assert done.output == str(tmp_path / "cut.nc")
    opened = echodrop.open_output(tmp_path / "cut.nc")
    assert opened["Sonar/Beam_group1"].sizes["ping_time"] > 0
    for absent in ("absent.nc", "absent.zarr"):
        with pytest.raises(FileNotFoundError):
            echodrop.open_output(tmp_path / absent)


@pytest.mark.parametrize("ending", ["zarr", "nc"])
def test_an_opened_output_has_every_group_and_variable(
    ending: str, sample: Path, tmp_path: Path
) -> None:
    import echopype  # noqa: PLC0415 - takes a second

    output = echodrop.convert(sample, tmp_path / f"all.{ending}").output
    theirs, ours = echopype.open_converted(output), echodrop.open_output(output)
    assert set(ours.group_paths) == set(theirs.group_paths) >= {"Provenance", "Platform/NMEA"}
    for group in theirs.group_paths:
        assert set(ours[group].variables) == set(theirs[group].variables), group
        assert ours[group].attrs == theirs[group].attrs, group


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_samples_that_a_ping_lacks_are_missing(
    zarr_format: Any, fleet_files: Path, tmp_path: Path
) -> None:
    raw = fleet_files / "simrad" / "ragged60.raw"
    done = echodrop.convert(raw, tmp_path, zarr_format=zarr_format)
    found = echodrop.open_output(done.output)["Sonar/Beam_group1"].backscatter_r
    whole = xr.open_datatree(done.output, engine="zarr")["Sonar/Beam_group1"].backscatter_r
    some = {"ping_time": slice(20), "range_sample": slice(2000)}
    assert int(whole[some].isnull().sum()) > 0
    xr.testing.assert_equal(found[some], whole[some])


@pytest.mark.parametrize("ending", ["zarr", "nc"])
def test_an_output_with_any_name_is_opened_again(ending: str, sample: Path, tmp_path: Path) -> None:
    odd = tmp_path / "Fjørd #1 100% a+b::c.raw"
    odd.write_bytes(sample.read_bytes())
    done = echodrop.convert(odd, tmp_path / f"{odd.stem}.{ending}")
    assert echodrop.open_output(done.output)["Sonar/Beam_group1"].sizes["ping_time"] > 0


@pytest.mark.parametrize(
    ("raw", "out", "options", "failure", "words"),
    [
        ("{sample}", "o.h5", {}, echodrop.InvalidParameters, r"o\.h5: an output ends in"),
        ("{sample}", "o.nc", {"type": "zarr"}, echodrop.InvalidParameters, "contradicts"),
        ("{sample}", "o", {"model": "EK61"}, ValueError, "EK61"),
        ("{sample}", "o", {"model": "EK80"}, echodrop.WrongModel, "EK60"),
        ("absent.raw", "o", {}, echodrop.BadFile, "does not exist"),
        ("a.bot", "o", {}, echodrop.InvalidParameters, "is a sidecar"),
        ("{sample}", "/proc/x/", {}, echodrop.DiskFault, "/proc/x"),
        ("{sample}", "{sample}/o", {}, echodrop.DiskFault, "Not a directory"),
    ],
)
def test_each_failure_is_an_exported_class(
    *,
    sample: Path,
    tmp_path: Path,
    raw: str,
    out: str,
    options: dict[str, Any],
    failure: type[Exception],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(failure, match=words):
        echodrop.convert(raw.format(sample=sample), out.format(sample=sample), **options)


def test_what_a_conversion_may_raise_is_exported() -> None:
    run_by_prefect = {"PartlyFailed", "AllFailed", "OutputClaimed", "ClaimLost", "FileFault"}
    raised = {
        name
        for name, value in vars(outcomes).items()
        if isinstance(value, type)
        and issubclass(value, outcomes.ConversionFailure | outcomes.TransientFault)
    }
    assert raised - run_by_prefect <= set(echodrop.__all__)
    assert all(getattr(echodrop, name).__doc__ for name in echodrop.__all__)
    with pytest.raises(AttributeError):
        _ = echodrop.conversion

"""The lines that the demo prints to open its output work for each sonar model."""

from __future__ import annotations

from pathlib import Path

import pytest

from echodrop import convert
from sandbox.demo import DemoResult

RAW = {
    "EK60": "ek60/D20070724-T042400.raw",
    "EK80": "ek80/2917763601822576513.raw",
    "AZFP": "azfp/15100520-Test.01A",
    "AZFP6": "azfp6/20090314_01A.azfp",
    "AD2CP": "ad2cp/SG198_0099_a.ad2cp",
}


@pytest.mark.parametrize("suffix", ["zarr", "nc"])
@pytest.mark.parametrize("model", RAW)
def test_the_printed_lines_open_the_output(
    model: str, suffix: str, real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xml = real_data / "azfp" / "15100804.XML" if model == "AZFP" else None
    done = convert(real_data / RAW[model], tmp_path / f"it's.{suffix}", xml=xml)
    result = DemoResult(done.manifest, Path(done.output))
    title, *lines = result.how_to_open().strip().splitlines()
    assert title == "Open it:"
    exec("\n".join(line.removeprefix("  ") for line in lines), {})  # noqa: S102 - as a person would
    printed = capsys.readouterr().out
    assert "Dimensions:" in printed
    assert "ping_time" in printed

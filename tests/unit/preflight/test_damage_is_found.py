"""The damage of each file is found before it is parsed, with its place and cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.core.outcomes import ConversionFailure
from flows.walk import check_rows, decide, preflight, write_whole_part
from tests.damaged_files import DAMAGED_FILES, DamagedFile


def _by_name(case: DamagedFile) -> str:
    return case.name


@pytest.mark.parametrize("case", DAMAGED_FILES, ids=_by_name)
def test_a_damaged_file_ends_in_its_one_outcome(
    case: DamagedFile, real_data: Path, tmp_path: Path
) -> None:
    path, says = case.write(real_data, tmp_path)
    summary = preflight(path, case.model)
    if case.outcome == "Completed":
        decide(summary, case.model)
        assert summary.condition == "intact"
        assert summary.bytes_unaccounted == 0
        return
    if case.outcome == "WrongModel":
        assert summary.condition == "not_this_format"
    with pytest.raises(ConversionFailure) as failure:
        decide(summary, case.model)
    assert type(failure.value).__name__ == case.outcome
    message = str(failure.value)
    assert path.name in message
    text = message.replace(path.name, "")
    for words in says:
        assert words in text


@pytest.mark.parametrize("case", DAMAGED_FILES, ids=_by_name)
def test_a_summary_accounts_for_every_byte_and_reads_as_json_and_rows(
    case: DamagedFile, real_data: Path, tmp_path: Path
) -> None:
    path, _ = case.write(real_data, tmp_path)
    summary = preflight(path, case.model)
    facts = json.loads(json.dumps(summary.as_json()))
    assert facts["bytes_total"] == path.stat().st_size
    assert 0 <= facts["bytes_whole"] <= facts["bytes_total"] - facts["bytes_unaccounted"]
    assert 0 <= summary.last_good_byte <= summary.bytes_total
    rows = dict(check_rows(summary))
    assert rows["file"] == path.name
    assert summary.damage is None or rows["damage"] == summary.damage


@pytest.mark.parametrize("case", DAMAGED_FILES, ids=_by_name)
def test_the_whole_part_of_a_damaged_file_is_an_intact_file(
    case: DamagedFile, real_data: Path, tmp_path: Path
) -> None:
    path, _ = case.write(real_data, tmp_path)
    summary = preflight(path, case.model)
    part = tmp_path / ("part" + path.suffix)
    try:
        decide(summary, case.model, allow_partial=True)
    except ConversionFailure:
        # A file that cannot be converted in part is not converted at all.
        with pytest.raises(ConversionFailure):
            decide(summary, case.model)
        return
    write_whole_part(path, summary, part)
    whole = preflight(part, case.model)
    decide(whole, case.model)
    assert whole.condition == "intact"
    assert whole.pings == summary.pings
    assert (whole.first_time, whole.last_time) == (summary.first_time, summary.last_time)
    original = path.read_bytes()
    assert b"".join(original[start:end] for start, end in summary.whole) == part.read_bytes()


def test_there_are_damages_of_every_kind_of_every_format() -> None:
    assert len({case.name for case in DAMAGED_FILES}) == len(DAMAGED_FILES) >= 40
    for model in ("EK60", "EK80", "AZFP", "AD2CP"):
        assert {case.outcome for case in DAMAGED_FILES if case.model == model} >= {
            "BadFile",
            "WrongModel",
            "UnsupportedDatagram",
        }

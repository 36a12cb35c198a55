"""The pings counted in a file are those that echopype reads from it, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.core.outcomes import OutputMismatch
from flows.rawfile.engine import open_file
from flows.rawfile.parsed_pings import compare_pings
from flows.walk import decide, preflight, write_whole_part
from tests.damaged_files import (
    AD2CP,
    AZFP,
    DAMAGED_FILES,
    EK60,
    EK80,
    DamagedFile,
    simrad_datagrams,
)

# Cases of every format and kind of damage whose intact parts differ in kind.
PARTS = [
    case
    for case in DAMAGED_FILES
    if case.name
    in {
        "ek60-cut-inside-the-samples",
        "ek60-zeros-over-64-kilobytes",
        "ek60-a-lost-block-inside-the-samples",
        "ek60-two-holes",
        "ek60-two-files-in-one",
        "ek60-datagram-of-an-unknown-type",
        "ek80-cut-inside-parameters",
        "ek80-zeros-over-a-ping-and-its-parameters",
        "ek80-random-bytes-over-parameters",
        "ek80-random-bytes-over-a-channel-name",
        "ek80-two-files-in-one",
        "ek80-parameters-missing",
        "azfp-cut-inside-the-counts",
        "azfp-as-found-broken",
        "ad2cp-data-checksum-wrong",
        "ad2cp-record-of-an-unknown-id",
    }
]


def _open(path: Path, model: str, xml_path: Path | None = None) -> Any:
    # 3 s that the other tests of this file's process may not need.
    import echopype  # noqa: PLC0415

    from flows.rawfile.azfp.parsers import without_limits  # noqa: PLC0415

    # echopype's own parsers drop the hundredths of a second of an AZFP's times.
    with without_limits():
        return echopype.open_raw(str(path), model, xml_path=str(xml_path) if xml_path else None)


def test_every_real_file_agrees(real_data: Path, expected: dict[str, dict[str, Any]]) -> None:
    for name, facts in expected.items():
        path = real_data / name
        xml = facts["xml_path"]
        summary = preflight(path, facts["sonar_model"])
        decide(summary, facts["sonar_model"])
        compare_pings(_open(path, facts["sonar_model"], real_data / xml if xml else None), summary)
        all_times = np.concatenate(list(summary.ping_times.values()))
        assert np.unique(all_times).size == facts["Beam_group1"]["ping_time"]
        assert str(all_times.min()) == facts["first_ping_time"]
        assert str(all_times.max()) == facts["last_ping_time"]
        if facts["channels"] and facts["sonar_model"].startswith("EK"):
            assert sorted(summary.pings) == sorted(facts["channels"])


@pytest.mark.parametrize("case", PARTS, ids=lambda case: case.name)
def test_echopype_reads_every_ping_of_a_whole_part(
    case: DamagedFile, real_data: Path, tmp_path: Path
) -> None:
    path, _ = case.write(real_data, tmp_path)
    part = tmp_path / ("part" + path.suffix)
    summary = preflight(path, case.model)
    decide(summary, case.model, allow_partial=True)
    write_whole_part(path, summary, part)
    compare_pings(_open(part, case.model, case.xml_path(real_data)), summary)


def test_the_parts_are_all_there() -> None:
    assert len(PARTS) == 16


@pytest.mark.parametrize(
    "case", [case for case in DAMAGED_FILES if case.outcome == "Completed"], ids=lambda c: c.name
)
def test_what_passes_preflight_is_read_by_echopype(
    case: DamagedFile, real_data: Path, tmp_path: Path
) -> None:
    path, _ = case.write(real_data, tmp_path)
    summary = preflight(path, case.model)

    def parse(path: Path) -> tuple[Any, list[str]]:
        return _open(path, case.model, case.xml_path(real_data)), []

    opened = open_file(path, summary, parse)
    compare_pings(opened.echodata, summary)
    opened.close()


def test_pings_that_echopype_drops_without_a_word_are_missed(
    real_data: Path, tmp_path: Path
) -> None:
    """A hole over datagrams: echopype skips to the next ones and reports nothing."""
    content = bytearray((real_data / EK60).read_bytes())
    pings = [d for d in simrad_datagrams(bytes(content)) if d.type == "RAW0"]
    content[pings[60].start : pings[63].end] = bytes(pings[63].end - pings[60].start)
    holed = tmp_path / "holed.raw"
    holed.write_bytes(content)
    with pytest.raises(OutputMismatch, match=r"read \d+ of 36 pings of GPT  18 kHz"):
        compare_pings(_open(holed, "EK60"), preflight(real_data / EK60, "EK60"))


def test_pings_behind_a_cut_are_missed(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / EK60).read_bytes()
    cut = tmp_path / "cut.raw"
    cut.write_bytes(content[: [d.end for d in simrad_datagrams(content) if d.type == "RAW0"][71]])
    with pytest.raises(OutputMismatch, match="read 18 of 36 pings"):
        compare_pings(_open(cut, "EK60"), preflight(real_data / EK60, "EK60"))


@pytest.mark.parametrize(
    ("name", "model", "size", "words"),
    [
        (AD2CP, "AD2CP", 2250 + 266 * 100 + 50, "read 100 of 420 pings of average"),
        (AZFP, "AZFP", 16884 * 4, "read 4 of 10 pings of 125 kHz"),
        (EK80, "EK80", 20_000, "of 6 pings of WBT Tube 253665-15 ES120-7CD"),
    ],
)
def test_pings_are_missed_in_every_format(  # noqa: PLR0917 - a table's columns and two fixtures
    name: str, model: str, size: int, words: str, real_data: Path, tmp_path: Path
) -> None:
    cut = tmp_path / ("cut" + Path(name).suffix)
    content = (real_data / name).read_bytes()
    if model == "EK80":
        size = next(
            d.start for d in simrad_datagrams(content) if d.start > size and d.type == "NME0"
        )
    cut.write_bytes(content[:size])
    xml = real_data / "azfp/15100804.XML" if model == "AZFP" else None
    with pytest.raises(OutputMismatch, match=words):
        compare_pings(_open(cut, model, xml), preflight(real_data / name, model))


def test_other_times_are_no_match(real_data: Path) -> None:
    summary = preflight(real_data / EK80, "EK80")
    echodata = _open(real_data / EK80, "EK80")
    beam = echodata["Sonar/Beam_group1"]
    shifted = beam.assign_coords(ping_time=beam["ping_time"] + np.timedelta64(1, "us"))
    groups = {"Sonar": echodata["Sonar"], "Sonar/Beam_group1": shifted}
    with pytest.raises(OutputMismatch, match="other ping times"):
        compare_pings(groups, summary)

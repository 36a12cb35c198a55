"""AZFP6 files: settings XML, then pings between flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.core.outcomes import BadFile, UnsupportedDatagram, WrongModel
from flows.rawfile.parsed_pings import compare_pings
from flows.walk import decide, preflight, write_whole_part
from tests.damaged_files import AZFP_XML
from tests.unit.preflight.azfp6_writer import PINGS, azfp6_file, ping, settings


@pytest.fixture
def whole(real_data: Path) -> bytes:
    return azfp6_file((real_data / AZFP_XML).read_bytes())


def _written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "made.azfp"
    path.write_bytes(content)
    return path


def test_the_pings_are_those_that_echopype_reads(whole: bytes, tmp_path: Path) -> None:
    # 3 s that the other tests here do not need.
    import echopype  # noqa: PLC0415

    from flows.rawfile.azfp.parsers import without_limits  # noqa: PLC0415

    path = _written(tmp_path, whole)
    summary = preflight(path, "AZFP6")
    decide(summary, "AZFP6")
    assert summary.pings == dict.fromkeys(("38 kHz", "125 kHz", "200 kHz", "455 kHz"), PINGS)
    with without_limits():
        compare_pings(echopype.open_raw(str(path), "AZFP6"), summary)


@pytest.mark.parametrize("cut", [2, 9, 400])
def test_a_cut_inside_a_ping_is_found(cut: int, whole: bytes, tmp_path: Path) -> None:
    start = len(whole) - 2 * len(ping(0))
    path = _written(tmp_path, whole[: start + cut])
    with pytest.raises(BadFile, match=f"truncated at byte {start}: .*{PINGS - 2} pings before"):
        decide(preflight(path, "AZFP6"), "AZFP6")


def test_a_hole_is_found_and_the_rest_is_whole(whole: bytes, tmp_path: Path) -> None:
    start = len(whole) - 3 * len(ping(0))
    end_flag = start + len(ping(0)) - 8
    flagged = whole[:end_flag] + b"\x00\x00\x00\x00" + whole[end_flag + 4 :]
    path = _written(tmp_path, flagged)
    summary = preflight(path, "AZFP6")
    with pytest.raises(BadFile, match=f"hole at byte {start}: no end flag at the end of the ping"):
        decide(summary, "AZFP6")
    decide(summary, "AZFP6", allow_partial=True)
    part = tmp_path / "part.azfp"
    write_whole_part(path, summary, part)
    assert preflight(part, "AZFP6").pings["38 kHz"] == PINGS - 1
    assert preflight(part, "AZFP6").condition == "intact"


def test_broken_settings_cost_the_whole_file(whole: bytes, real_data: Path, tmp_path: Path) -> None:
    broken = whole.replace(b"</AZFP>", b"</OOPS>", 1)
    with pytest.raises(BadFile, match="settings XML is broken"):
        decide(preflight(_written(tmp_path, broken), "AZFP6"), "AZFP6", allow_partial=True)
    with pytest.raises(BadFile, match="no pings"):
        decide(
            preflight(_written(tmp_path, settings((real_data / AZFP_XML).read_bytes())), "AZFP6"),
            "AZFP6",
        )
    cut = _written(tmp_path, whole[:1000])
    with pytest.raises(BadFile, match="truncated at byte 0: the file ends inside its settings"):
        decide(preflight(cut, "AZFP6"), "AZFP6")


def test_a_ping_set_otherwise_is_not_supported(whole: bytes, tmp_path: Path) -> None:
    at = len(whole) - len(ping(0))
    last = whole[at:].replace(b"\x3c\x00", b"\x3d\x00", 1)
    path = _written(tmp_path, whole[:at] + last)
    words = (
        r"ping: an output .* ping 5 at byte \d+ has pings per profile \(61,\) instead of \(60,\)$"
    )
    with pytest.raises(UnsupportedDatagram, match=words):
        decide(preflight(path, "AZFP6"), "AZFP6")
    decide(preflight(path, "AZFP6"), "AZFP6", allow_partial=True)


def test_it_is_not_an_azfp(whole: bytes, tmp_path: Path) -> None:
    with pytest.raises(WrongModel, match=r"declared as AZFP, .* AZFP6"):
        decide(preflight(_written(tmp_path, whole), "AZFP"), "AZFP")

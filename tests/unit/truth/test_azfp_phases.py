"""An AZFP's settings change where a phase of its schedule ends, also in the middle of a file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows.core.outcomes import BadFile, UnsupportedDatagram
from tests.damaged_files import AZFP, AZFP_PING, AZFP_XML
from tests.unit.preflight.azfp6_writer import CHANNELS, PINGS, ping, settings
from tests.unit.truth.test_nortek_and_azfp import (
    OTHER_INSTRUMENT,
    azfp_pings,
    check_azfp,
    converted,
    tree_of,
    with_channels,
)


def pings_of(path: Path) -> list[bytes]:
    return [each.content[: each.size] for each in azfp_pings(path.read_bytes())]


def with_fewer_bins(header_and_counts: bytes, bins: int) -> bytes:
    made = bytearray(header_and_counts[:124])
    struct.pack_into(">4H", made, 42, *[bins] * 4)
    for start in range(124, AZFP_PING, 5 * 838):
        overflows = start + 4 * 838
        made += header_and_counts[start : start + 4 * bins]
        made += header_and_counts[overflows : overflows + bins]
    return bytes(made)


def with_field(content: bytes, at: int, field: bytes) -> bytes:
    return content[:at] + field + content[at + len(field) :]


PHASES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "bins": (lambda each: with_fewer_bins(each, 100), r"number of bins \(100, 100, 100, 100\)"),
    "pulse": (lambda each: with_field(each, 84, b"\1\xf4"), r"pulse length \(500, 1000, 1000, 1000\)"),
    "channels": (lambda each: with_channels(each, [1, 3]), r"number of channels \(2,\)"),
    "averaging": (
        lambda each: with_field(each, 50, bytes([0, 5] * 4)),
        r"range samples per bin \(5, 5, 5, 5\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("longer", ["first", "second"])
@pytest.mark.parametrize("phase", PHASES)
def test_pings_of_the_longer_phase_are_converted_and_the_others_named(
    phase: str, longer: str, real_data: Path, tmp_path: Path
) -> None:
    change, words = PHASES[phase]
    pings = pings_of(real_data / AZFP)
    end = 7 if longer == "first" else 3
    first, second = pings[:end], [change(each) for each in pings[end:]]
    raw, xml = tmp_path / "D.01A", real_data / AZFP_XML
    raw.write_bytes(b"".join([*first, *second]))
    if longer == "first":
        with pytest.raises(UnsupportedDatagram, match=f"ping 8 at byte {7 * AZFP_PING} .*{words}"):
            converted(raw, tmp_path, "AZFP", xml_path=str(xml))
    done = converted(raw, tmp_path, "AZFP", xml_path=str(xml), allow_partial=True)
    kept = b"".join(first if longer == "first" else second)
    channels = [1, 3] if phase == "channels" and longer == "second" else [0, 1, 2, 3]
    check_azfp(done, kept, xml.read_bytes(), channels)
    assert "3 ping left out (an output has one of each setting; ping" in done.manifest["missing"]
    assert OTHER_INSTRUMENT in done.manifest["missing"]
    (entry,) = [e for e in done.manifest["not_converted"] if e["type"] == "ping"]
    times = ["2015-10-05T20:04:37.70", "2015-10-05T20:04:43.70"]
    if longer == "second":
        times = ["2015-10-05T20:04:16.70", "2015-10-05T20:04:22.70"]
    assert entry["count"] == 3
    assert [entry["first_time"][:22], entry["last_time"][:22]] == times
    assert {f["name"]: f["value"] for f in done.manifest["quality"]}["lost_pings"] == 3


def test_pings_of_the_longer_phase_of_an_azfp6_are_converted(
    real_data: Path, tmp_path: Path
) -> None:
    # In turn, as with two phases of minutes.
    parts = [ping(n, CHANNELS if n % 2 == 0 else (0, 2)) for n in range(PINGS)]
    raw = tmp_path / "D.azfp"
    raw.write_bytes(settings((real_data / AZFP_XML).read_bytes()) + b"".join(parts))
    done = converted(raw, tmp_path, "AZFP6", allow_partial=True)
    assert "2 ping left out" in done.manifest["missing"]
    with tree_of(done) as tree:
        beam = tree["Sonar/Beam_group1"]
        assert beam["backscatter_r"].values[2, :, 0].tolist() == [9000, 9002, 9004]
        seconds = beam["ping_time"].values.astype("datetime64[s]").astype(np.int64) % 60
        assert seconds.tolist() == [10, 12, 14]


def test_a_year_of_two_digits_is_no_date(real_data: Path, tmp_path: Path) -> None:
    content = b"".join(
        with_field(each, 12, struct.pack(">H", 15)) for each in pings_of(real_data / AZFP)
    )
    raw = tmp_path / "D.01A"
    raw.write_bytes(content)
    with pytest.raises(BadFile, match="invalid date: 15-10-05 20:04:16"):
        converted(raw, tmp_path, "AZFP", xml_path=str(real_data / AZFP_XML))

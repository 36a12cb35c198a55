"""No whole file is called damaged, and no ping of it is lost without a word."""

from __future__ import annotations

import os
import shutil
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from flows import walk
from flows.conversion import open_raw, save
from flows.core.outcomes import BadFile, UnsupportedDatagram
from flows.opened_raw import OpenedRaw
from flows.publishing.publication import Published
from flows.rawfile.parsed_pings import compare_pings
from flows.stores.request import ConversionRequest
from tests.conftest import REPORT_LINE
from tests.unit.truth.edited_files import PINGS, Datagram, content_of, edited, pings_of

# 300 with ECHODROP_EDITED_FILES=300.
FILES = int(os.environ.get("ECHODROP_EDITED_FILES", "40"))
SOURCES = (
    "ek80/-1519668699940320059.raw",
    "ek60/D20070724-T042400.raw",
    "ek80/2917763601822576513.raw",
    "ek80/-1519668699940320059.raw",
    "ek80/EK80_-D20221108-T151353.raw",
)
# Enough for every kind of datagram of the long files.
_LONGEST = 400_000


def _beginning(content: bytes) -> bytes:
    """The whole datagrams at the beginning of a long file."""
    end = 0
    while end + 4 < len(content) and end < _LONGEST:
        end += struct.unpack_from("<i", content, end)[0] + 8
    return content[:end]


def _power_of(ping: Datagram) -> np.ndarray[Any, Any] | None:
    """The power samples of a ping, in the steps of the file."""
    if not ping.kind & 1 or not ping.count:
        return None
    return np.frombuffer(ping.body, "<i2", ping.count, ping.header)


def _powers_in(echodata: Any) -> Counter[bytes]:
    """The power samples of each ping of an EchoData, as int16."""
    found: Counter[bytes] = Counter()
    for name in echodata["Sonar"]["beam_group"].values:
        group = echodata[f"Sonar/{name}"]
        if "backscatter_i" in group:
            continue
        power = group["backscatter_r"].transpose("channel", "ping_time", "range_sample").values
        steps = power / (10 * np.log10(2) / 256)
        for ping in (row for channel in steps for row in channel):
            there = ~np.isnan(ping)
            if there.any():
                found[np.rint(ping[there]).astype("<i2").tobytes()] += 1
    return found


def test_edited_files_lose_no_ping(real_data: Path, tmp_path: Path, record_property: Any) -> None:
    outcomes: Counter[str] = Counter()
    contents = {name: _beginning((real_data / name).read_bytes()) for name in set(SOURCES)}
    failed = []
    for seed in range(FILES):
        file, edits = edited(seed, contents[SOURCES[seed % len(SOURCES)]])
        path = tmp_path / f"edited-{seed}.raw"
        path.write_bytes(content_of(file))
        model = "EK60" if path.read_bytes()[4:8] == b"CON0" else "EK80"
        try:
            outcomes[_outcome(path, model, file)] += 1
        except (AssertionError, Exception) as error:  # noqa: BLE001 - all seeds are reported together
            failed.append(f"seed {seed} {', '.join(edits)}: {type(error).__name__}: {error}")
        path.unlink()
    record_property(REPORT_LINE, f"{FILES} edited Simrad files: {dict(outcomes)}")
    assert not failed, "\n".join(failed)


def _outcome(path: Path, model: str, file: list[Datagram]) -> str:
    """Convert a file, and compare its pings on the way; the name of the outcome."""
    summary = walk.preflight(path, model)
    assert summary.condition == "intact", summary.damage
    outcome = "Completed"
    try:
        walk.decide(summary, model)
    except BadFile as bad:
        raise AssertionError(str(bad)) from bad
    except UnsupportedDatagram:
        walk.decide(summary, model, allow_partial=True)
        outcome = "UnsupportedDatagram, with a way out"
    pings = pings_of(file)
    left_out = sum(refused.count for refused in summary.refused.values())
    assert sum(summary.pings.values()) + left_out == sum(pings.values())
    folder = path.with_suffix("")
    opened = open_raw(
        ConversionRequest(
            raw_file=str(path),
            sonar_model=model,
            output_path=str(folder / "out.zarr"),
            output_type="zarr",
            allow_partial=outcome != "Completed",
        ),
        lambda *_: None,
    )
    assert isinstance(opened, OpenedRaw)
    try:
        compare_pings(opened.echodata, summary)
        assert sum(map(len, summary.ping_times.values())) + left_out == len(pings)
        if not left_out:
            powers = [
                power
                for power in (_power_of(d) for d in _different(file) if d.type in PINGS)
                if power is not None
            ]
            assert _powers_in(opened.echodata) == Counter(p.tobytes() for p in powers)
        assert opened.recorded["engine"]["name"] == "streamed", opened.recorded["engine"]["reason"]
        # The whole conversion: quality facts and the account take any file, too.
        done = save(opened, lambda *_: None)
    finally:
        opened.close()
    assert isinstance(done, Published)
    assert outcome == "Completed" or done.manifest["missing"]
    shutil.rmtree(folder)
    return outcome


def _different(file: list[Datagram]) -> list[Datagram]:
    """The datagrams without those that repeat another."""
    return list(dict.fromkeys(file))

"""The triggers' logs are read once each line, and only when it is whole."""

import json
from pathlib import Path

from sandbox.trigger_log import TriggerLog, TriggerOutcome


def line(**told: object) -> str:
    return json.dumps(told) + "\n"


def test_outcomes_are_told_once_and_other_lines_left_out(tmp_path: Path) -> None:
    log = tmp_path / "trigger-1.log"
    rejected = line(
        key="a.xyz",
        outcome="Rejected",
        reason="unknown-extension",
        detail="no model",
        message_id="5f",
    )
    log.write_text(f"2026-11-22 polling\n{rejected}{{not json\n{line(level='INFO')}")
    reader = TriggerLog(tmp_path)
    assert list(reader.new_outcomes()) == [
        TriggerOutcome("a.xyz", "Rejected", "unknown-extension", "no model", "5f")
    ]
    assert list(reader.new_outcomes()) == []


def test_a_line_that_is_still_being_written_is_told_when_it_is_whole(tmp_path: Path) -> None:
    log, reader = tmp_path / "trigger-2.log", TriggerLog(tmp_path)
    whole = line(key="b.raw", outcome="Submitted", reason="new")
    log.write_text(whole[:20])
    assert list(reader.new_outcomes()) == []
    with log.open("a") as more:
        more.write(whole[20:])
    assert [told.key for told in reader.new_outcomes()] == ["b.raw"]

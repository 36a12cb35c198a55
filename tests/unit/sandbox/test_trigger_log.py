"""Each line of the triggers' logs is read once, when it is complete."""

import json
from pathlib import Path

from sandbox.trigger_log import TriggerLog, TriggerOutcome


def line(**entry: object) -> str:
    return json.dumps(entry) + "\n"


def test_outcomes_are_read_once_and_other_lines_are_ignored(tmp_path: Path) -> None:
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


def test_an_incomplete_line_is_read_when_it_is_complete(tmp_path: Path) -> None:
    log, reader = tmp_path / "trigger-2.log", TriggerLog(tmp_path)
    whole = line(key="b.raw", outcome="Submitted", reason="new")
    log.write_text(whole[:20])
    assert list(reader.new_outcomes()) == []
    with log.open("a") as more:
        more.write(whole[20:])
    assert [found.key for found in reader.new_outcomes()] == ["b.raw"]

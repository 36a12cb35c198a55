"""The commands: exit codes and lines of JSON."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.notifications import NotifiedObject
from operations.clients.prefect_runs import PrefectRuns
from operations.reconcile.terminal import reconcile
from operations.replay.terminal import replay
from operations.status.terminal import status
from tests.envelopes import ENVELOPES
from tests.file_heads import file_head
from tests.unit.operations.conftest import FakeInbox, lines, received
from watchdog.prefect_http import PrefectUnreachableError


def test_reconcile_exits_with_1_if_something_needs_attention(
    world: FakeInbox, rules: Path, queue: str, aws: Callable[[str], Any], capsys: Any
) -> None:
    world.publish(world.drop("a.raw"), "a.zarr", {"zarr.json": b"{}"})
    world.drop("notes.txt")
    assert reconcile(rules=rules, as_json=True) == 0
    assert lines(capsys) == [
        {"counts": {"done": 1, "ignored": 1}, "needs_attention": False, "fixed": {}}
    ]

    for number in range(3):
        world.drop(f"lost-{number}.raw")
    asked: dict[str, Any] = {"rules": rules, "grace": 0, "queue": queue}
    assert reconcile(**asked, as_json=True) == 1
    assert [line.get("class") for line in lines(capsys)] == ["never notified"] * 3 + [None]
    assert reconcile(**asked, fix=True, dry_run=True, as_json=True) == 1
    assert lines(capsys)[-1]["fixed"] == {"would notify": 3}
    assert received(aws("sqs"), queue) == []
    assert reconcile(**asked, fix=True, limit=2) == 1
    out = capsys.readouterr().out
    assert "never notified" in out
    assert "notified: 2" in out
    assert len(received(aws("sqs"), queue)) == 2


def test_status_shows_a_window_and_refuses_an_invalid_one(
    world: FakeInbox, rules: Path, capsys: Any
) -> None:
    world.publish(world.drop("a.raw"), "a.zarr", {"zarr.json": b"{}"})
    assert status(rules=rules, since="1h", as_json=True) == 0
    world.drop("bad.raw", b"a text")
    assert status(rules=rules, since="1h", as_json=True) == 1
    rejected, summary = lines(capsys)[1:]
    assert rejected["class"] == "rejected"
    assert summary["counts"] == {"done": 1, "rejected": 1}
    assert status(rules=rules, since="yesterday") == 2
    assert "'yesterday' is not a duration" in capsys.readouterr().err


def test_status_says_what_the_output_of_a_partial_conversion_lacks(
    world: FakeInbox, rules: Path, capsys: Any
) -> None:
    world.publish(world.drop("whole.raw"), "whole.zarr", {"zarr.json": b"{}"})
    part = world.drop("part.raw")
    world.publish(part, "part.zarr", {"zarr.json": b"{}"})
    world.put_manifest(part, "part.zarr", objects=1, size=2, sha256="0", missing="bytes 9 to 99")
    assert status(rules=rules, since="1h") == 0
    out = capsys.readouterr().out
    assert "2 done" in out
    assert "missing: bytes 9 to 99" in out
    assert f"s3://{world.inbox}/part.raw" in out
    assert "whole.raw" not in out
    assert status(rules=rules, since="1h", as_json=True) == 0
    assert [line["detail"] for line in lines(capsys) if "uri" in line] == ["missing: bytes 9 to 99"]


def test_status_follows_one_upload_until_it_has_its_outcome(
    world: FakeInbox, rules: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    source = world.drop("a.raw")
    run = world.run(source, "RUNNING", "Running")
    asked: dict[str, Any] = {"upload": source.uri, "rules": rules}
    assert status(**asked) == 0
    assert f"http://127.0.0.1:9/runs/flow-run/{run.id}" in capsys.readouterr().out

    def converted(_seconds: float) -> None:
        world.publish(source, "a.zarr", {"zarr.json": b"{}"})

    monkeypatch.setattr("operations.status.terminal.time.sleep", converted)
    assert status(**asked, watch=True, as_json=True) == 0
    assert [line["class"] for line in lines(capsys)] == ["running", "done"]
    assert status(rules=rules, upload="s3://elsewhere/a.raw", as_json=True) == 1
    assert lines(capsys)[0]["detail"].startswith("foreign-bucket")


def test_status_says_first_that_the_system_has_a_fault(
    *,
    world: FakeInbox,
    rules: Path,
    queue: str,
    aws: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv("ECHODROP_DEAD_LETTERS_URL", queue)
    assert status(rules=rules) == 0
    assert capsys.readouterr().out.startswith("The system is healthy\n")
    aws("sqs").send_message(QueueUrl=queue, MessageBody="dead")
    assert status(rules=rules) == 1
    out = capsys.readouterr().out
    assert out.startswith("The system has 1 fault\n")
    assert "echodrop replay --dlq" in out


def test_status_says_that_prefect_does_not_answer(
    world: FakeInbox, rules: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def away(*_: Any) -> None:
        raise PrefectUnreachableError("no answer from http://127.0.0.1:9/api")

    monkeypatch.setattr(PrefectRuns, "ask_now", away)
    assert status(rules=rules) == 2
    out = capsys.readouterr().out
    assert out.startswith("The system has 1 fault\n")
    assert "no answer from http://127.0.0.1:9/api" in out
    assert "check PREFECT_API_URL" in out


def test_a_missing_setting_is_named_on_stderr(
    world: FakeInbox, rules: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert reconcile(rules=rules, fix=True) == 2
    assert "ECHODROP_QUEUE_URL" in capsys.readouterr().err
    monkeypatch.delenv("PREFECT_API_URL")
    assert reconcile() == 2
    printed = capsys.readouterr().err
    assert "PREFECT_API_URL" in printed
    assert "ECHODROP_RULES_PARAMETER" in printed


def test_an_unreachable_prefect_is_not_a_fault_of_an_upload(
    world: FakeInbox, rules: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def away(*_: Any) -> None:
        raise PrefectUnreachableError("prefect is away")

    world.drop("lost.raw", file_head("EK60"))
    monkeypatch.setattr(PrefectRuns, "by_identity", away)
    assert reconcile(rules=rules) == 2
    assert "prefect is away" in capsys.readouterr().err


def test_a_dry_run_over_dead_letters_shows_the_cost(
    rules: Path,
    queue: str,
    aws: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv("ECHODROP_DEAD_LETTERS_URL", queue)
    for key in ("a.raw", "settings.xml"):
        body = ENVELOPES["eventbridge"](NotifiedObject("inbox", key, 50_000_000, "tag"))
        aws("sqs").send_message(QueueUrl=queue, MessageBody=body)
    asked: dict[str, Any] = {"dlq": True, "queue": "none", "rules": rules}
    assert replay(**asked, dry_run=True, as_json=True) == 1
    estimate = lines(capsys)[-1]["estimate"]
    assert (estimate["uploads"], estimate["bytes"]) == (1, 50_000_000)
    assert estimate["dollars"] > 0
    assert replay(**asked, dry_run=True, rate=0.01) == 1
    assert "1 upload, 50,000,000 bytes, sent within 100 s" in capsys.readouterr().out


def test_dead_letters_are_sent_then_set_aside_in_the_output_bucket(
    world: FakeInbox,
    rules: Path,
    *,
    queue: str,
    aws: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    sqs = aws("sqs")
    dlq = sqs.create_queue(QueueName=f"dead-{uuid.uuid4().hex}")["QueueUrl"]
    monkeypatch.setenv("ECHODROP_DEAD_LETTERS_URL", dlq)
    asked: dict[str, Any] = {"dlq": True, "queue": queue, "rules": rules, "as_json": True}
    assert replay(**asked) == 0
    sqs.send_message(QueueUrl=dlq, MessageBody="poison")
    assert replay(**asked, dry_run=True) == 1
    assert replay(**asked) == 0
    # As if it had failed: SQS keeps the attributes of a message.
    monkeypatch.setenv("ECHODROP_DEAD_LETTERS_URL", queue)
    assert replay(**asked | {"queue": dlq}) == 1
    printed = lines(capsys)
    assert [line.get("what") for line in printed] == [
        *(None, "would send", None, "sent", None),
        *("set aside", None),
    ]
    listing = world.s3.list_objects_v2(Bucket=world.output)["Contents"]
    (kept,) = [item["Key"] for item in listing]
    assert kept.startswith("quarantine/dead-letters/")
    assert kept in printed[-2]["detail"]
    assert reconcile(rules=rules, as_json=True) == 0


def test_an_interrupted_replay_says_that_nothing_is_lost(
    world: FakeInbox, rules: Path, queue: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def stop(*_: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("operations.replay.dead_letters.DeadLetterReplay.run", stop)
    monkeypatch.setenv("ECHODROP_DEAD_LETTERS_URL", queue)
    assert replay(dlq=True, queue=queue, rules=rules) == 130
    assert "the next call resumes" in capsys.readouterr().out

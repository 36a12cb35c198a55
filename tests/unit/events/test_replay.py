from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from events.replay import FunctionTarget, LocalHandler, fixture_messages, replay
from events.sending import Message, QueueTarget, ReplayRow


def line(message: int, outcome: str, reason: str, **facts: Any) -> str:
    return json.dumps(
        {"message_id": f"message-{message}", "outcome": outcome, "reason": reason} | facts
    )


def test_each_record_gets_its_row_from_the_local_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        assert [record["body"] for record in event["Records"]] == ["a", "b"]
        assert context.get_remaining_time_in_millis() > 0
        print('{"message": "cold start"}')  # noqa: T201 - what the handler writes
        print(line(1, "Ignored", "folder", key="k/"))  # noqa: T201
        print(line(0, "Submitted", "new", key="k", flow_run_id="r"))  # noqa: T201
        print(line(0, "Retried", "unavailable", error="prefect: away"))  # noqa: T201
        return {}

    monkeypatch.setattr("events.replay.handler", handle)
    messages = [Message("one", "a", ("Submitted: new",)), Message("two", "b", ("Rejected: empty",))]
    assert LocalHandler().send(messages) == [
        ReplayRow("one", "k", "Submitted", "new", "", "r", "Submitted: new"),
        ReplayRow("one", "", "Retried", "unavailable", "prefect: away", "", "nothing more"),
        ReplayRow("two", "k/", "Ignored", "folder", "", "", "Rejected: empty"),
    ]


def test_rows_know_whether_they_are_expected() -> None:
    assert ReplayRow("a", "", "Ignored", "folder", "").is_expected
    assert ReplayRow("a", "", "Ignored", "folder", "", expected="Ignored: folder").is_expected
    assert not ReplayRow("a", "", "Ignored", "hidden", "", expected="Ignored: folder").is_expected


class Sqs:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        assert request["QueueUrl"] == "https://queue"
        self.sent += [entry["MessageBody"] for entry in request["Entries"]]
        return {"Failed": [{"Id": "1", "Message": "too long"}]}


def test_messages_that_the_queue_refuses_are_reported() -> None:
    sqs: Any = Sqs()
    rows = QueueTarget(sqs, "https://queue").send([Message("one", "a"), Message("two", "b")])
    assert sqs.sent == ["a", "b"]
    assert [(row.source, row.outcome, row.reason) for row in rows] == [
        ("one", "Sent", "queue"),
        ("two", "Retried", "not-sent"),
    ]


class Functions:
    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = answers

    def invoke(self, **request: Any) -> dict[str, Any]:
        assert len(json.loads(request["Payload"])["Records"]) == 1
        return self.answers.pop(0)


def test_the_outcome_is_read_from_a_deployed_functions_log() -> None:
    log = "RPORT of the one before\nSTART\n" + line(0, "Submitted", "new", key="k") + "\nEND\n"
    functions: Any = Functions(
        [
            {"LogResult": base64.b64encode(log.encode()).decode()},
            {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "no rules"}')},
            {"LogResult": ""},
        ]
    )
    rows = FunctionTarget(functions, "trigger").send([Message(name, "{}") for name in "abc"])
    assert [(row.source, row.outcome, row.reason) for row in rows] == [
        ("a", "Submitted", "new"),
        ("b", "Retried", "function-error"),
        ("c", "Retried", "no-line"),
    ]
    assert "no rules" in rows[1].detail


def test_messages_go_in_tens_and_in_order() -> None:
    class RecordingTarget:
        sizes: list[int] = []  # noqa: RUF012 - one instance

        def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
            self.sizes.append(len(messages))
            return [ReplayRow(message.source, "", "Sent", "queue", "") for message in messages]

    target = RecordingTarget()
    rows = list(replay((Message(str(number), "") for number in range(23)), target))
    assert target.sizes == [10, 10, 3]
    assert [row.source for row in rows] == [str(number) for number in range(23)]


def test_fixtures_become_messages_with_expectations(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    expected = [{"key": None, "outcome": "Rejected", "reason": "malformed"}]
    path.write_text(
        json.dumps({"about": "", "inbox": [], "notification": "x", "expected": expected})
    )
    assert list(fixture_messages([path])) == [Message("one", "x", ("Rejected: malformed",))]

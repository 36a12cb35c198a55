from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_trigger.clients.transport_errors import (
    ConfigurationError,
    DeniedError,
    MissingError,
    OutOfTimeError,
    RefusedError,
    ThrottledError,
    TransportError,
    UnavailableError,
)
from lambda_trigger.handler import handler
from tests.file_heads import file_head
from tests.monitoring.template_alarms import state_by_lines
from tests.unit.trigger.conftest import MemoryFlowRuns, Trigger, eventbridge


def test_only_failed_records_are_returned(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.storage.put("b.raw", file_head("EK60"))
    trigger.storage.broken_keys.add("b.raw")
    answer = trigger.receive(
        eventbridge({"key": "a.raw"}),
        "no notification",
        eventbridge({"key": "b.raw"}),
        eventbridge({"key": "c.bot"}),
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-2"}]}
    assert [line["message"] for line in trigger.lines] == [
        "Submitted: new",
        "Rejected: malformed",
        "Retried: s3 GetObject: planned",
        "Ignored: companion",
    ]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DeniedError, "ALARM"),
        (MissingError, "ALARM"),
        (RefusedError, "ALARM"),
        (ConfigurationError, "ALARM"),
        (UnavailableError, "OK"),
        (ThrottledError, "OK"),
        (OutOfTimeError, "OK"),
    ],
)
def test_a_fault_that_a_retry_does_not_fix_raises_an_alarm(
    trigger: Trigger,
    monkeypatch: pytest.MonkeyPatch,
    error: type[TransportError],
    state: str,
) -> None:
    """Lambda counts no error for a record that is returned to the queue."""
    trigger.storage.put("a.raw", file_head("EK60"))

    def fail(*_: object, **__: object) -> None:
        raise error("prefect", "create_flow_run", "planned")

    monkeypatch.setattr(trigger.storage, "read_head", fail)
    trigger.receive(eventbridge({"key": "a.raw"}))
    (line,) = trigger.lines
    assert line["outcome"] == "Retried"
    assert state_by_lines("TriggerFaultsAlarm", [json.dumps(line)]) == state
    # It ends when no record is returned any more.
    assert state_by_lines("TriggerFaultsAlarm", [], before=state) == "OK"


@pytest.mark.parametrize(
    ("minutes", "receives", "state"), [(16, "3", "ALARM"), (300, "50", "ALARM"), (6, "2", "OK")]
)
def test_a_notification_that_fails_after_fifteen_minutes_raises_its_alarm(
    trigger: Trigger, minutes: int, receives: str, state: str
) -> None:
    """SQS excludes messages that were received three times from its own metric."""
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.flow_runs.broken = True
    sent = int((time.time() - 60 * minutes) * 1000)
    record = {
        "messageId": "1",
        "body": json.dumps(eventbridge({"key": "a.raw"})),
        "attributes": {"ApproximateReceiveCount": receives, "SentTimestamp": str(sent)},
    }
    assert trigger.handle({"Records": [record]})["batchItemFailures"]
    (line,) = trigger.lines
    assert line["RetriedAgeSeconds"] == [pytest.approx(60 * minutes, abs=30)]
    assert state_by_lines("UploadsWaitAlarm", [json.dumps(line)]) == state
    assert state_by_lines("UploadsWaitAlarm", [], before="ALARM") == "OK"


@pytest.mark.parametrize("attributes", [{}, {"SentTimestamp": "0"}, {"SentTimestamp": "x"}, None])
def test_a_record_without_a_sent_timestamp_has_no_age(
    trigger: Trigger, attributes: dict[str, str] | None
) -> None:
    body = json.dumps(eventbridge({"key": "a.raw"}))
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.flow_runs.broken = True
    trigger.handle({"Records": [{"messageId": "1", "body": body, "attributes": attributes}]})
    assert "RetriedAgeSeconds" not in trigger.lines[0]


def test_a_rejected_upload_raises_its_alarm(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", b"")
    trigger.receive(eventbridge({"key": "a.raw", "size": 0}))
    refused = [json.dumps(line) for line in trigger.lines]
    assert state_by_lines("UploadsRejectedAlarm", refused) == "ALARM"
    assert state_by_lines("OutOfMemoryAlarm", refused) == "OK"
    is_given_up = json.loads(refused[0]) | {"reason": "out-of-memory"}
    assert state_by_lines("OutOfMemoryAlarm", [json.dumps(is_given_up)]) == "ALARM"


def test_a_message_with_one_failing_record_still_settles_the_others(trigger: Trigger) -> None:
    for name in ("a.raw", "b.raw", "c.raw"):
        trigger.storage.put(name, file_head("EK60"))
    trigger.storage.broken_keys.add("a.raw")
    body = [eventbridge({"key": name}) for name in ("a.raw", "b.raw", "c.raw")]
    assert len(trigger.receive(body)["batchItemFailures"]) == 1
    trigger.storage.broken_keys.clear()
    trigger.lines.clear()
    assert trigger.receive(body) == {"batchItemFailures": []}
    assert [line["reason"] for line in trigger.lines] == ["new", "existing", "existing"]


def test_a_prefect_outage_returns_all_uploads_and_nothing_else(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    trigger.flow_runs.broken = True
    answer = trigger.receive(eventbridge({"key": "a.raw"}), "malformed")
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}


def test_an_unexpected_error_is_logged_with_its_traceback_and_returned(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(trigger.flow_runs, "create_run", fail)
    assert len(trigger.receive(eventbridge({"key": "a.raw"}), "x")["batchItemFailures"]) == 1
    assert trigger.lines[0]["reason"] == "unexpected-error"
    assert "ZeroDivisionError: a bug" in trigger.lines[0]["traceback"]


def test_after_the_deadline_the_remaining_records_are_returned(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    record = {"messageId": "1", "body": json.dumps(eventbridge({"key": "a.raw"}))}
    answer = trigger.handle({"Records": [record]}, seconds=0.0)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert trigger.lines[0]["reason"] == "out-of-time"


def test_wrong_rules_fail_the_whole_batch_with_the_line(trigger: Trigger) -> None:
    trigger.rules = trigger.rules.replace("pause_above = 1000", "pause_above = lots")
    with pytest.raises(ConfigurationError, match="line 6"):
        trigger.receive(eventbridge({"key": "a.raw"}))


def test_wrong_settings_fail_the_invocation_and_name_every_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PREFECT_API_URL", "ECHODROP_RULES_PARAMETER", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)

    class Context:
        aws_request_id = "1"
        function_name = "trigger"
        invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:trigger"
        memory_limit_in_mb = 512

        def get_remaining_time_in_millis(self) -> int:
            return 10_000

    with pytest.raises(
        ConfigurationError, match=r"PREFECT_API_URL.*ECHODROP_RULES_PARAMETER.*AWS_REGION"
    ):
        handler({"Records": []}, Context())


def test_an_event_without_a_queue_is_handled_and_a_failure_raises(trigger: Trigger) -> None:
    trigger.storage.put("a.raw", file_head("EK60"))
    assert trigger.handle(eventbridge({"key": "a.raw"})) == {"batchItemFailures": []}
    assert trigger.lines[0]["message"] == "Submitted: new"
    trigger.flow_runs.broken = True
    with pytest.raises(RuntimeError, match="without a message id"):
        trigger.handle(eventbridge({"key": "a.raw"}))


def test_one_line_is_the_log_and_the_metric_of_an_upload(trigger: Trigger) -> None:
    trigger.storage.put("ä/a.raw", file_head("EK60"), version_id="v1")
    body = eventbridge({"key": "ä/a.raw"})
    body["detail"]["request-id"] = "C3D13FE58DE4C810"
    trigger.receive(body)
    (line,) = trigger.lines
    assert (line["bucket"], line["key"], line["version_id"]) == ("inbox", "ä/a.raw", "v1")
    assert (line["s3_request_id"], line["outcome"], line["reason"]) == (
        "C3D13FE58DE4C810",
        "Submitted",
        "new",
    )
    assert line["flow_run_id"] == next(iter(trigger.flow_runs.runs))[:8]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [
        ["stack", "service", "outcome"],
        ["stack", "service", "outcome", "reason"],
    ]
    for metric in directive["Metrics"]:
        (number,) = line[metric["Name"]]
        assert isinstance(number, int | float)
    for names in directive["Dimensions"]:
        assert all(isinstance(line[name], str) and line[name] for name in names)
    assert line["Uploads"] == [1]
    assert line["timestamp"].endswith("+00:00")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    bodies=st.lists(
        st.binary().map(lambda raw: raw.decode("latin-1"))
        | JSON_VALUES.map(json.dumps)
        | st.text().map(lambda key: json.dumps(eventbridge({"key": key}))),
        min_size=1,
        max_size=6,
    ),
    prefect_is_away=st.booleans(),
)
def test_every_record_has_an_outcome_or_is_returned(
    bodies: list[str],
    prefect_is_away: bool,  # noqa: FBT001 - hypothesis passes by name
) -> None:
    trigger = Trigger(flow_runs=MemoryFlowRuns(broken=prefect_is_away))
    answer = trigger.receive(*bodies)
    settled = {line["message_id"] for line in trigger.lines if line["outcome"] != "Retried"}
    again = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert settled | again == {f"message-{index}" for index in range(len(bodies))}
    assert settled.isdisjoint(again) or prefect_is_away


def test_no_heavy_package_is_imported() -> None:
    heavy = [
        "boto3",
        "botocore.session",
        "prefect",
        "echopype",
        "numpy",
        "pydantic",
        "aws_lambda_powertools.utilities.data_classes",
        "aws_lambda_powertools.utilities.batch",
    ]
    script = (
        "import sys, lambda_trigger.handler; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"

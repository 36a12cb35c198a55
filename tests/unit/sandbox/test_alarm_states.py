"""The template's alarms change state with their samples, and their notifications."""

import json
from collections import Counter
from typing import Any

import pytest

from operations.console.report import FindingTally
from operations.findings.findings import Kind
from operations.reconcile.reconcile_report import NAMESPACE, figures
from tests.monitoring.alarm_states import Alarm, Sample, alarm_notification, samples_of
from tests.monitoring.scheduler import seconds_of
from tests.monitoring.template_alarms import STACK, alarm
from watchdog.emf import emf_line


def state(definition: Alarm, values: list[float | None], before: str = "OK") -> str:
    """Return the state for values of periods, newest first; None is a period without a sample."""
    samples = [
        Sample(definition.metric, 10_000 - (place + 0.5) * definition.period, value)
        for place, value in enumerate(values)
        if value is not None
    ]
    other = [Sample(("other", "metric", frozenset()), each.at, 1e9) for each in samples]
    return definition.state([*samples, *other], 10_000, before)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("RunsFailedAlarm", [1.0], "ALARM"),
        ("RunsFailedAlarm", [0.0], "OK"),
        ("RunsLateAlarm", [1.0, 2.0, 3.0], "ALARM"),
        ("RunsLateAlarm", [1.0, 0.0, 3.0], "OK"),
        ("RunsLateAlarm", [None, 0.0, None], "OK"),
        ("PrefectAlarm", [0.0, 0.0], "ALARM"),
        ("PrefectAlarm", [1.0, 0.0], "OK"),
        # Missing data mean that Prefect or a schedule is down.
        ("PrefectAlarm", [None, None], "ALARM"),
        ("WatchdogSilentAlarm", [None], "ALARM"),
        ("WatchdogSilentAlarm", [1.0], "OK"),
        ("ReconcileSilentAlarm", [None, None, None], "ALARM"),
        ("ReconcileSilentAlarm", [None, 500.0, None], "OK"),
        ("WholeLookOldAlarm", [9.5 * 86400], "ALARM"),
        ("WholeLookOldAlarm", [8.5 * 86400], "OK"),
        # A queue that is read is empty now and then.
        ("UploadsNotTakenAlarm", [10_000.0] * 15, "ALARM"),
        ("UploadsNotTakenAlarm", [*[10_000.0] * 14, 0.0], "OK"),
        ("TaskStatesWaitAlarm", [1.0] * 10, "ALARM"),
        ("TaskStatesWaitAlarm", [1.0, 0.0, *[1.0] * 8], "OK"),
        # Nothing was rejected.
        ("UploadsRejectedAlarm", [None], "OK"),
    ],
)
def test_an_alarm_breaches_in_all_of_its_periods(
    name: str, values: list[float | None], expected: str
) -> None:
    assert {state(alarm(name), values, before) for before in ("OK", "ALARM")} == {expected}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in STACK.of_type("AWS::CloudWatch::Alarm")
        if STACK.properties(name)["TreatMissingData"] == "ignore"
    ],
)
def test_missing_data_keep_the_state_of_an_alarm_that_ignores_them(name: str) -> None:
    definition = alarm(name)
    nothing: list[float | None] = [None] * definition.periods
    assert [state(definition, nothing, before) for before in ("OK", "ALARM")] == ["OK", "ALARM"]
    half = [definition.threshold + 1, *nothing[1:]]
    assert state(definition, half, "ALARM") == "ALARM"


def test_the_speedup_applies_to_periods_and_to_values_in_seconds() -> None:
    assert alarm("RunsFailedAlarm", 60).period == 5
    line = emf_line("echodrop", {"WorkerHeartbeatAgeSeconds": 3, "LateRuns": 3}, {}, 1000)
    values = {each.metric[1]: each.value for each in samples_of(line, 60)}
    assert values == {"WorkerHeartbeatAgeSeconds": 180, "LateRuns": 3}
    (metric,) = {each.metric for each in samples_of(line, 60)} & {alarm("RunsLateAlarm").metric}
    assert metric[0] == "echodrop"


def test_other_lines_of_a_log_have_no_samples() -> None:
    assert samples_of("INFO polling", 1) == samples_of('{"_aws": cut', 1) == []


def test_a_notification_has_the_fields_of_cloudwatchs() -> None:
    message: dict[str, Any] = alarm_notification(
        alarm("PrefectAlarm"), "ALARM", "OK", at="2026-07-24T04:24:00", region="r", account="1"
    )
    assert (message["NewStateValue"], message["OldStateValue"]) == ("ALARM", "OK")
    assert message["Trigger"]["Dimensions"] == [
        {"name": "service", "value": "watchdog"},
        {"name": "stack", "value": "echodrop"},
    ]
    assert json.dumps(message)


def test_a_rate_is_converted_to_seconds() -> None:
    assert (seconds_of("rate(5 minutes)"), seconds_of("rate(1 hour)")) == (300, 3600)
    with pytest.raises(ValueError, match="cron"):
        seconds_of("cron(0 * * * ? *)")


def figure(tally: FindingTally, name: str) -> float:
    (value,) = (
        each["Value"] for each in figures("echodrop", tally, 1.0) if each["MetricName"] == name
    )
    return value


@pytest.mark.parametrize("periods_silent", [0, 1])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NeverNotifiedAlarm", Kind.NEVER_NOTIFIED),
        *(("UploadsWithoutOutcomeAlarm", kind) for kind in (Kind.STUCK, Kind.TORN, Kind.LATE)),
        ("UploadsLackSettingsAlarm", Kind.OVERDUE),
    ],
)
def test_what_the_reconciliation_finds_raises_its_alarm(
    name: str, kind: Kind, periods_silent: int
) -> None:
    found = {"ALARM": FindingTally(counts=Counter({kind: 1, Kind.DONE: 9})), "OK": FindingTally()}
    for expected, tally in found.items():
        definition = alarm(name)
        measured = figure(tally, definition.metric[1])
        values: list[float | None] = [measured] * definition.periods
        assert definition.metric[0] == NAMESPACE
        assert state(definition, values, "OK") == expected
        # Another alarm reports a reconciliation that does not run.
        values[:periods_silent] = [None] * periods_silent
        assert state(definition, values, expected) == expected
    assert (
        state(alarm("ReconcileSilentAlarm"), [figure(FindingTally(), "Reconciled"), 0, 0]) == "OK"
    )

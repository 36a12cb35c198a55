"""The template's alarms, evaluated: which samples put one into alarm, and what is told of it."""

import json
from typing import Any

import pytest

from sandbox.alarm_states import Alarm, Sample, notice, samples_of
from sandbox.scheduler import seconds_of
from sandbox.template import UNUSED_PARAMETERS, Stack
from watchdog.emf import emf_line

STACK = Stack.read(
    {**UNUSED_PARAMETERS, "PrefectApiUrl": "http://127.0.0.1:4200/api", "PrefectAuth": "none"}
)


def alarm(name: str, speedup: float = 1) -> Alarm:
    return Alarm.of(name, STACK.properties(name), speedup)


@pytest.mark.parametrize(
    ("name", "values", "breaches"),
    [
        # Newest first, one a period; None is a period without a sample.
        ("RunsFailedAlarm", [1.0], True),
        ("RunsFailedAlarm", [0.0], False),
        ("RunsFailedAlarm", [None], False),
        ("RunsLateAlarm", [1.0, 2.0, 3.0], True),
        ("RunsLateAlarm", [1.0, 0.0, 3.0], False),
        ("PrefectAlarm", [0.0, 0.0], True),
        ("PrefectAlarm", [1.0, 0.0], False),
        # Who says nothing is gone.
        ("PrefectAlarm", [None, None], True),
        ("WatchdogSilentAlarm", [None], True),
        ("WatchdogSilentAlarm", [1.0], False),
    ],
)
def test_an_alarm_breaches_in_all_of_its_periods(
    name: str, values: list[float | None], *, breaches: bool
) -> None:
    told = alarm(name)
    samples = [
        Sample(told.metric, 10_000 - (place + 0.5) * told.period, value)
        for place, value in enumerate(values)
        if value is not None
    ]
    assert told.breaches(samples, 10_000) is breaches
    other = [Sample(("other", "metric", frozenset()), each.at, 1e9) for each in samples]
    assert told.breaches([*samples, *other], 10_000) is breaches


def test_time_runs_faster_in_periods_and_in_seconds_alike() -> None:
    assert alarm("RunsFailedAlarm", 60).period == 5
    line = emf_line({"WorkerHeartbeatAgeSeconds": 3, "LateRuns": 3}, {}, 1000)
    values = {each.metric[1]: each.value for each in samples_of(line, 60)}
    assert values == {"WorkerHeartbeatAgeSeconds": 180, "LateRuns": 3}
    (metric,) = {each.metric for each in samples_of(line, 60)} & {alarm("RunsLateAlarm").metric}
    assert metric[0] == "echodrop"


def test_other_lines_of_a_log_have_no_samples() -> None:
    assert samples_of("INFO polling", 1) == samples_of('{"_aws": cut', 1) == []


def test_a_notice_says_what_cloudwatchs_does() -> None:
    told: dict[str, Any] = notice(
        alarm("PrefectAlarm"), "ALARM", "OK", at="2026-07-24T04:24:00", region="r", account="1"
    )
    assert (told["NewStateValue"], told["OldStateValue"]) == ("ALARM", "OK")
    assert told["Trigger"]["Dimensions"] == [{"name": "service", "value": "watchdog"}]
    assert json.dumps(told)


def test_a_rate_is_seconds() -> None:
    assert (seconds_of("rate(5 minutes)"), seconds_of("rate(1 hour)")) == (300, 3600)
    with pytest.raises(ValueError, match="cron"):
        seconds_of("cron(0 * * * ? *)")

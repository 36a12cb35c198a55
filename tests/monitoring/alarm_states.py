"""Evaluates the template's alarms on samples of their metrics. Pure functions.

The evaluation is simpler than CloudWatch's: an alarm is in ALARM when all of its
periods breach the threshold. If the alarm ignores missing data, one period within
the threshold gives OK, and ALARM needs data in every period.
Source: "Using Amazon CloudWatch alarms", CloudWatch user guide.
"""

import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

_COMPARE = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
_REDUCE = {"Maximum": max, "Minimum": min, "Sum": sum, "SampleCount": len}

Identity = tuple[str, str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Sample:
    """One value of a metric; `at` is in seconds since the epoch."""

    metric: Identity
    at: float
    value: float


@dataclass(frozen=True)
class Alarm:
    """An alarm's definition; `period` is in seconds of the sandbox's accelerated time."""

    name: str
    description: str
    metric: Identity
    statistic: str
    period: float
    periods: int
    threshold: float
    comparison: str
    missing: str
    alarm_actions: Sequence[str]
    ok_actions: Sequence[str]

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any], speedup: float) -> Self:
        """Read an alarm resource of the template and shorten its period by `speedup`."""
        dimensions = frozenset(
            (each["Name"], str(each["Value"])) for each in properties["Dimensions"]
        )
        return cls(
            name,
            properties["AlarmDescription"],
            (properties["Namespace"], properties["MetricName"], dimensions),
            properties["Statistic"],
            int(properties["Period"]) / speedup,
            int(properties["EvaluationPeriods"]),
            float(properties["Threshold"]),
            properties["ComparisonOperator"],
            properties["TreatMissingData"],
            properties["AlarmActions"],
            properties["OKActions"],
        )

    @property
    def window(self) -> float:
        """The evaluated time in seconds."""
        return self.period * self.periods

    def state(self, samples: Iterable[Sample], now: float, before: str) -> str:
        """Return OK or ALARM; `before` is kept if missing data do not allow a decision."""
        values: list[list[float]] = [[] for _ in range(self.periods)]
        for sample in samples:
            age = now - sample.at
            if sample.metric == self.metric and 0 <= age < self.window:
                values[int(age // self.period)].append(sample.value)
        breaching = {self._breaches(each) for each in values}
        if False in breaching:
            return "OK"
        return before if None in breaching else "ALARM"

    def _breaches(self, values: Sequence[float]) -> bool | None:
        """Return whether a period breaches; None if the period has no data to decide by."""
        if not values:
            return None if self.missing == "ignore" else self.missing == "breaching"
        reduce: Any = _REDUCE[self.statistic]
        return bool(_COMPARE[self.comparison](reduce(values), self.threshold))


def samples_of(line: str, speedup: float) -> list[Sample]:
    """Return the samples in a log line; values in seconds are multiplied by `speedup`."""
    if '"_aws"' not in line:
        return []
    try:
        metrics = json.loads(line)
    except ValueError:
        return []
    at = metrics["_aws"]["Timestamp"] / 1000
    found = []
    for directive in metrics["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = frozenset((name, str(metrics[name])) for name in names)
            for metric in directive["Metrics"]:
                values = metrics[metric["Name"]]
                factor = speedup if metric["Unit"] == "Seconds" else 1
                found += [
                    Sample((directive["Namespace"], metric["Name"], dimensions), at, value * factor)
                    for value in (values if isinstance(values, list) else [values])
                ]
    return found


def alarm_notification(
    alarm: Alarm, state: str, before: str, *, at: str, region: str, account: str
) -> dict[str, Any]:
    """Return the message that CloudWatch publishes to an SNS topic."""
    namespace, name, dimensions = alarm.metric
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "NewStateValue": state,
        "NewStateReason": f"{alarm.periods} periods of {alarm.period:g} s, threshold {alarm.threshold:g}",
        "StateChangeTime": at,
        "Region": region,
        "OldStateValue": before,
        "Trigger": {
            "MetricName": name,
            "Namespace": namespace,
            "Statistic": alarm.statistic.upper(),
            "Dimensions": [{"name": key, "value": value} for key, value in sorted(dimensions)],
            "Period": alarm.period,
            "EvaluationPeriods": alarm.periods,
            "Threshold": alarm.threshold,
            "ComparisonOperator": alarm.comparison,
        },
    }

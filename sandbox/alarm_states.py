"""Whether an alarm of the template is in alarm, given its metric's samples. Pure.

The definitions are the template's; this evaluation is ours, and simpler than
CloudWatch's: as many whole periods as the alarm evaluates, all of which have to
breach. Where missing data are ignored, those that are there decide, and an alarm
needs all of them. Source: "Using Amazon CloudWatch alarms", CloudWatch user guide.
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
    """One value of a metric, at seconds since the epoch."""

    metric: Identity
    at: float
    value: float


@dataclass(frozen=True)
class Alarm:
    """An alarm's definition; `period` in seconds of the sandbox's own time."""

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
        """Read a resource of the template, its time sped up."""
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
        """Seconds that are looked at."""
        return self.period * self.periods

    def state(self, samples: Iterable[Sample], now: float, before: str) -> str:
        """OK or ALARM by the periods of the window; what it was `before` where missing data leave it so."""
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
        """Whether a period does; None where it says nothing."""
        if not values:
            return None if self.missing == "ignore" else self.missing == "breaching"
        reduce: Any = _REDUCE[self.statistic]
        return bool(_COMPARE[self.comparison](reduce(values), self.threshold))


def samples_of(line: str, speedup: float) -> list[Sample]:
    """The samples in a line of a log; seconds count as many more as time is sped up."""
    if '"_aws"' not in line:
        return []
    try:
        told = json.loads(line)
    except ValueError:
        return []
    at = told["_aws"]["Timestamp"] / 1000
    found = []
    for directive in told["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = frozenset((name, str(told[name])) for name in names)
            for metric in directive["Metrics"]:
                values = told[metric["Name"]]
                factor = speedup if metric["Unit"] == "Seconds" else 1
                found += [
                    Sample((directive["Namespace"], metric["Name"], dimensions), at, value * factor)
                    for value in (values if isinstance(values, list) else [values])
                ]
    return found


def notice(
    alarm: Alarm, state: str, before: str, *, at: str, region: str, account: str
) -> dict[str, Any]:
    """What CloudWatch sends to a topic. Source: a notification as SNS delivers it."""
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

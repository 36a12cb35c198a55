"""Every metric of trigger, watchdog, conversions and reconciliation, read from their real output."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from typing import Any

from flows.runs.run_products import metric_line
from lambda_trigger.decisions.outcomes import Ignored, Reason, Rejected, Submitted, Waiting
from lambda_trigger.telemetry import Telemetry
from operations.console.report import FindingTally
from operations.reconcile.reconcile_report import NAMESPACE, figures
from watchdog.emf import UNITS, emf_line

# Namespace, metric, dimensions.
Metric = tuple[str, str, frozenset[tuple[str, str]]]


@cache
def written_metrics(stack: str) -> frozenset[Metric]:
    """Return namespace, name and dimensions of each metric of a stack, as CloudWatch extracts them."""
    of_lines = (metric for line in _lines(stack) for metric in _metrics_of(line))
    return frozenset((*of_lines, *_of_the_reconciliation(stack)))


def _lines(stack: str) -> Iterator[dict[str, Any]]:
    out = io.StringIO()
    with redirect_stdout(out):
        telemetry = Telemetry(stack)
        for reason in Reason:
            for outcome in (
                Submitted(reason, "id", "name", "EK60", "detail", "small"),
                *(kind(reason, "detail") for kind in (Waiting, Ignored, Rejected)),
            ):
                telemetry.outcome(None, outcome, 1.0, "message")
        telemetry.failed_attempt(None, ValueError("a defect"), "message", "1", 60.0)
        telemetry.cold_start(1.0)
    yield from map(json.loads, out.getvalue().splitlines())
    yield json.loads(emf_line(stack, dict.fromkeys(UNITS, 0.0), {}, 0))
    yield json.loads(metric_line(stack, 1, 0))


def _of_the_reconciliation(stack: str) -> Iterator[Metric]:
    for datum in figures(stack, FindingTally(), 1.0):
        dimensions = frozenset((each["Name"], each["Value"]) for each in datum["Dimensions"])
        yield NAMESPACE, datum["MetricName"], dimensions


def _metrics_of(line: dict[str, Any]) -> Iterator[Metric]:
    """Source: "Specification: Embedded metric format", CloudWatch user guide."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = frozenset((name, str(line[name])) for name in names)
            for metric in directive["Metrics"]:
                yield directive["Namespace"], metric["Name"], dimensions

"""Metrics as a line of the log, which CloudWatch takes them out of.

Source: "Specification: Embedded metric format", CloudWatch user guide. Written
here and not by powertools: one line of one shape needs no package, and so the
function's zip holds nothing but its own modules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

NAMESPACE = "echodrop"
SERVICE = "watchdog"

# What is told, with its unit. What could not be learnt in a look is left out of it.
UNITS: Mapping[str, str] = {
    "PrefectReachable": "Count",
    "FailedRuns": "Count",
    "BadFiles": "Count",
    "CrashedRuns": "Count",
    "LateRuns": "Count",
    "StuckPendingRuns": "Count",
    "StuckRunningRuns": "Count",
    "OldestWaitingSeconds": "Seconds",
    "UnendedRuns": "Count",
    "WorkerHeartbeatAgeSeconds": "Seconds",
    "DeadLetters": "Count",
    "IncidentsOpen": "Count",
    "IncidentsTold": "Count",
    "QuietPrefixes": "Count",
    "RunsStarted": "Count",
    "BrakePulled": "Count",
}


def emf_line(
    stack: str, metrics: Mapping[str, float], facts: Mapping[str, object], now_ms: int
) -> str:
    """Return one line of JSON with these metrics, and facts beside them for who reads the log.

    Args:
        stack: whose metrics they are; two stacks of one account share the namespace.
        metrics: by name, as in `UNITS`.
        facts: other fields of the line.
        now_ms: milliseconds since the epoch.

    Raises:
        KeyError: a metric that has no unit here.
    """
    owner = {"stack": stack, "service": SERVICE}
    if not metrics:
        # CloudWatch takes no line that says it has metrics and has none.
        return json.dumps({**owner, **facts})
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(owner)],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in metrics],
    }
    line = {
        "_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [directive]},
        **owner,
        **metrics,
        **facts,
    }
    return json.dumps(line)

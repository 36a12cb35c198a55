"""Writes metrics as a log line, from which CloudWatch extracts them.

Source: "Specification: Embedded metric format", CloudWatch user guide. This module
replaces powertools, so that the function's zip contains only its own modules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

NAMESPACE = "echodrop"
SERVICE = "watchdog"

# The metrics and their units. A check leaves out metrics whose value is unknown.
UNITS: Mapping[str, str] = {
    name: "Seconds" if name.endswith("Seconds") else "Count"
    for name in (
        *("PrefectReachable", "FailedRuns", "BadFiles", "CrashedRuns", "LateRuns"),
        *("StuckPendingRuns", "StuckRunningRuns", "OldestWaitingSeconds", "UnendedRuns"),
        *("WorkerHeartbeatAgeSeconds", "DeadLetters", "IncidentsOpen", "IncidentsReported"),
        *("QuietPrefixes", "RunsStarted", "BrakePulled"),
    )
}


def emf_line(
    stack: str, metrics: Mapping[str, float], facts: Mapping[str, object], now_ms: int
) -> str:
    """Return one line of JSON with metrics, and with facts that explain them in the log.

    All stacks of an account share the namespace. `now_ms` is milliseconds since the epoch.

    Raises:
        KeyError: a metric is not in `UNITS`.
    """
    owner = {"stack": stack, "service": SERVICE}
    if not metrics:
        # CloudWatch rejects a line that declares metrics and has none.
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

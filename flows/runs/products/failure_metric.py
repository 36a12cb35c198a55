"""The metric of products that were not made, as a log line from which CloudWatch extracts it.

A request to CloudWatch would need a right and take time. Source: "Specification:
Embedded metric format", CloudWatch user guide.
"""

from __future__ import annotations

import json

NAMESPACE = "echodrop"
SERVICE = "products"
METRIC = "ProductsFailed"


def metric_line(stack: str, failed: int, now_ms: int) -> str:
    """Return one line of JSON.

    Args:
        stack: the stack that the metric belongs to; all stacks of an account share the namespace.
        failed: number of outputs with a product that was not made.
        now_ms: milliseconds since the epoch.
    """
    owner = {"stack": stack, "service": SERVICE}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(owner)],
        "Metrics": [{"Name": METRIC, "Unit": "Count"}],
    }
    line = {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [directive]}}
    return json.dumps({**line, **owner, METRIC: failed})

"""Makes the products of what a run has published; nothing here changes how the run ends."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import timedelta

from prefect.logging import get_run_logger

from flows.products.jobs.product_jobs import JobResult, ProductJob, products_are_on
from flows.runs.products.picture_artifact import show_pictures
from flows.stores.request import ConversionRequest

NAMESPACE = "echodrop"
SERVICE = "products"
METRIC = "ProductsFailed"

STACK = "ECHODROP_STACK"
# How long a conversion may stay for its products: its outcome is known only after them.
TOTAL = timedelta(hours=1)


def make_products_of(completed: Iterable[ConversionRequest]) -> None:
    """Make the products of these conversions' outputs within an hour, if the stack wants products.

    Those of an output that was already published are made if they are missing or stale.
    """
    if not products_are_on(os.environ):
        return
    jobs = [ProductJob(request.output.uri, request.output_storage_options) for request in completed]
    try:
        results = make_and_show(jobs, total=TOTAL)
        if left := [job.output for job in jobs[len(results) :]]:
            get_run_logger().warning(
                "products of %s outputs not made within %s, the first is %s; "
                "`echodrop draw` makes them",
                *(len(left), TOTAL, left[0]),
            )
    # BLE001: the outputs are published and verified; the warning and the record name the cause.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("products not made: %r", error)


def make_and_show(jobs: Sequence[ProductJob], *, total: timedelta | None = None) -> list[JobResult]:
    """Make the products in a child process, log and count failures, and show the pictures.

    After `total` the remaining outputs have no result.
    """
    from flows.products.jobs.in_child import make_in_child  # noqa: PLC0415 - most runs fail or finish without it

    logger = get_run_logger()
    results: list[JobResult] = []
    # Closed here, so that a run that is stopped ends the child at once.
    with closing(make_in_child(jobs, total=total)) as made:
        for result in made:
            results.append(result)
            if result.state == "failed":
                logger.warning(
                    "%s: products not made: %s; the output is not affected, and "
                    "`echodrop draw %s` makes them again",
                    *(result.output, result.error, result.output),
                )
            else:
                logger.info("%s: products %s", result.output, result.state)
    _count(sum(result.state == "failed" for result in results))
    show_pictures(
        [
            (job, result)
            for job, result in zip(jobs, results, strict=False)
            if result.state in {"made", "failed"} and result.record
        ]
    )
    return results


def _count(failed: int) -> None:
    """Write the metric of failures to the task's log, from which CloudWatch extracts it."""
    stack = os.environ.get(STACK)
    if failed and stack:
        sys.stdout.write(metric_line(stack, failed, time.time_ns() // 1_000_000) + "\n")
        sys.stdout.flush()


def metric_line(stack: str, failed: int, now_ms: int) -> str:
    """The metric of products that were not made, as a log line from which CloudWatch extracts it.

    A request to CloudWatch would need a right and take time. Source: "Specification: Embedded
    metric format", CloudWatch user guide. All stacks of an account share the namespace. `now_ms`
    is milliseconds since the epoch.
    """
    owner = {"stack": stack, "service": SERVICE}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(owner)],
        "Metrics": [{"Name": METRIC, "Unit": "Count"}],
    }
    line = {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [directive]}}
    return json.dumps({**line, **owner, METRIC: failed})

"""Requests runs of `make-products` in the backfill lane, each for several outputs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from operations.clients.prefect_api import RateLimitedPrefectApi
from operations.clients.prefect_health import DRAWING_FLOW
from operations.clients.prefect_runs import UNFINISHED, WITH_TASKS

DEPLOYMENT = f"{DRAWING_FLOW}/ecs"
# A run of fifty outputs takes minutes.
HANGS = timedelta(days=1)


def requested_outputs(api: RateLimitedPrefectApi, *, force: bool) -> set[str]:
    """The outputs of runs that have not ended yet; with `force`, only of those that force, too.

    Runs whose task has had its state for a day do not count: such a task hangs, or is gone.

    Raises:
        PrefectUnavailableError: Prefect does not answer.
    """
    unfinished = api.runs({"state": {"type": {"any_": list(UNFINISHED)}}}, DRAWING_FLOW)
    since = datetime.now(UTC) - HANGS
    parameters: Iterator[dict[str, Any]] = (
        run["parameters"]
        for run in unfinished
        if run["state"]["type"] not in WITH_TASKS
        or datetime.fromisoformat(run["state"]["timestamp"]) > since
    )
    return {
        output
        for each in parameters
        if each.get("force") or not force
        for output in each.get("outputs", [])
    }


def request_runs(
    api: RateLimitedPrefectApi, outputs: Sequence[str], *, together: int, force: bool
) -> Iterator[int]:
    """Request runs of at most `together` outputs; yield the number of outputs of each.

    Raises:
        PrefectUnavailableError: Prefect does not answer, or has no such deployment.
    """
    deployment = api.ask("GET", f"/deployments/name/{DEPLOYMENT}", None)["id"]
    for start in range(0, len(outputs), together):
        batch = list(outputs[start : start + together])
        body = {
            "name": f"{batch[0].rpartition('/')[2]} and {len(batch) - 1} more"[:100],
            "parameters": {"outputs": batch, "force": force},
            # A repeated request returns the same run.
            "idempotency_key": uuid.uuid4().hex,
        }
        api.ask("POST", f"/deployments/{deployment}/create_flow_run", body)
        yield len(batch)

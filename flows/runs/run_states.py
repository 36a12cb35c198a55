"""Prefect states, retries and run facts of a conversion, for both conversion flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.client.schemas import State, TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.tasks import Task, exponential_backoff

from flows.core.transient_faults import is_transient
from flows.publishing.publication import Published, Skipped
from flows.runs.task_resources import task_image

# 2 + 4 + ... + 128 s with jitter: over four minutes, while the claim of a killed run expires within
# one.
RETRIES = 7


def _is_transient_failure(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether to retry a failed task: only after transient faults."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


# The trigger's reason for a retry that is tagged with its smaller size.
OUT_OF_MEMORY = "exit code 137 (out of memory)"

# Options of the tasks that convert.
RETRYING: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _is_transient_failure,
}


def completed_state(saved: Published | Skipped) -> State[str]:
    """Completed, with the name Skipped if nothing was written; its data is the output's URI."""
    if isinstance(saved, Skipped):
        return Completed(name="Skipped", message=saved.reason, data=saved.output)
    output = saved.manifest["output"]
    message = f"{saved.output}: {output['objects']} objects, {output['bytes']} bytes, verified"
    return Completed(message=message, data=saved.output)


def this_run() -> dict[str, Any]:
    """The owner for the claim and the manifest: the flow run, or outside a run the process."""
    identity = flow_run.get_id()
    if identity is None:
        return {}
    return {
        "owner": f"flow run {identity}",
        "run": {
            "flow_run_id": str(identity),
            "flow_run_url": flow_run.ui_url,
            "image": task_image(),
            **_size_of_task(flow_run.tags),
        },
    }


def _size_of_task(tags: Sequence[str]) -> dict[str, Any]:
    """Size, and earlier smaller size, of a run's task, from the trigger's tags."""
    named = dict(tag.split(":", 1) for tag in tags if ":" in tag)
    smaller = named.get("enlarged-from")
    return {
        "tier": named.get("tier"),
        "enlarged": {"from": smaller, "reason": OUT_OF_MEMORY} if smaller else None,
    }

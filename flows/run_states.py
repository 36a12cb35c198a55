"""How a conversion's end, its retries and its run are told to Prefect: by file and by batch alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.client.schemas import State, TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.tasks import Task, exponential_backoff

from flows.outcomes import Outcome
from flows.publication import Published, Skipped
from flows.task_image import task_image
from flows.transient_faults import is_transient

# 2 + 4 + ... + 128 s, each stretched by chance: over four minutes, while the
# claim of a killed run expires within one.
RETRIES = 7


def _may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is tried again: for faults that pass, and no others."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


# Why the trigger starts a run once more with a tag of its smaller size.
OUT_OF_MEMORY = "exit code 137 (out of memory)"

# Of a task that converts, or does a part of it.
RETRYING: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _may_pass,
}


def completed_state(saved: Published | Skipped) -> State[str]:
    """Completed, named Skipped where nothing was written; its data is the output's URI."""
    if isinstance(saved, Skipped):
        return Completed(name="Skipped", message=saved.reason, data=saved.output)
    output = saved.manifest["output"]
    message = f"{saved.output}: {output['objects']} objects, {output['bytes']} bytes, verified"
    return Completed(message=message, data=saved.output)


def failed_state(failure: Outcome) -> State[Any]:
    """Failed, named by the outcome; its data is the failure."""
    return Failed(name=failure.outcome, message=str(failure), data=failure)


def this_run() -> dict[str, Any]:
    """Who converts, for the claim and the manifest; outside a run, the process."""
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
    """Size and earlier, smaller size of a run's task, by the tags that the trigger gave it."""
    named = dict(tag.split(":", 1) for tag in tags if ":" in tag)
    smaller = named.get("enlarged-from")
    return {
        "tier": named.get("tier"),
        "enlarged": {"from": smaller, "reason": OUT_OF_MEMORY} if smaller else None,
    }

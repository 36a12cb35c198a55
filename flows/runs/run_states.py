"""Prefect states, retries and run facts of a conversion, for both conversion flows."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State, TaskRun
from prefect.logging import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Crashed
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

# Options of the tasks that convert. Results are not stored or cached: an EchoData has gigabytes of
# samples, and a retried run must read the current file.
CONVERTING: dict[str, Any] = {
    "persist_result": False,
    "cache_policy": NO_CACHE,
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


def end_out_of_memory(error: MemoryError) -> State[Any]:
    """End this process as Linux would, if it belongs to the run alone; else return Crashed.

    `flows.runs.execute_run` then exits with 137, and the trigger starts the run again on the
    next larger size.
    """
    if deployment.get_id() is not None:
        get_run_logger().error("out of memory: %s", error)
        logging.shutdown()
        os.kill(os.getpid(), signal.SIGKILL)
    return out_of_memory(error)


def out_of_memory(error: MemoryError) -> State[Any]:
    """Return Crashed, Prefect's state for a run whose process was killed.

    Python's MemoryError is handled like that: both are retried on a larger task.
    """
    # A plain MemoryError, because the reader of the state may not have a subclass's module.
    plain = MemoryError(str(error))
    return Crashed(message=f"out of memory: {error or 'MemoryError'}", data=plain)

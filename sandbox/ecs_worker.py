"""The real Prefect ECS worker, pointed at moto's ECS."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.prefect_api import PrefectApi
from sandbox.processes import Part

NAME = "ecs-worker"
POOL = "echodrop"
# MiB, where the pool itself names none; moto wants a number, and nothing in the
# sandbox holds a task to it.
_TASK_MEMORY = 4096


def ecs_worker(
    api: PrefectApi, task_events_queue: str, environment: Mapping[str, str], log: Path
) -> Part:
    """Describe the worker's part; ready when the pool counts it as online.

    Args:
        api: the Prefect API it takes its work from.
        task_events_queue: name of the queue its observer learns of ended tasks from.
        environment: what it runs with: AWS and Prefect client variables only. It
            hands its own `PREFECT_*` on to every task, so the database's URL and
            the like must not be in there.
        log: file for its output.
    """
    return Part(
        NAME,
        [
            *(sys.executable, "-m", "prefect", "worker", "start"),
            *("--pool", POOL, "--type", "ecs", "--name", "sandbox"),
            *("--install-policy", "never", "--no-create-pool-if-not-found"),
        ],
        {
            **environment,
            "PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_SQS_QUEUE_NAME": task_events_queue,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_PREFETCH_SECONDS": "1",
            "PREFECT_CLI_PROMPT": "false",
        },
        log,
        is_ready=lambda: api.worker_is_online(POOL),
    )


def point_pool_at_sandbox(api: PrefectApi, task_environment: Mapping[str, str]) -> None:
    """Make the pool's tasks run against the sandbox.

    Gives every task the variables of the sandbox's AWS, and the container its
    memory in the task definition, without which moto refuses to run a task.
    """
    template = api.request("GET", f"/work_pools/{POOL}")["base_job_template"]
    container = template["job_configuration"]["task_definition"]["containerDefinitions"][0]
    container.setdefault("memory", "{{ memory }}")
    variables: dict[str, dict[str, Any]] = template["variables"]["properties"]
    if variables["memory"].get("default") is None:
        variables["memory"]["default"] = _TASK_MEMORY
    env = variables["env"]
    env["default"] = {**(env.get("default") or {}), **task_environment}
    api.request("PATCH", f"/work_pools/{POOL}", {"base_job_template": template})

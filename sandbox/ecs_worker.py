"""The real Prefect ECS worker, pointed at moto's ECS."""

import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.prefect_api import PrefectApi
from sandbox.processes import Part

NAME = "ecs-worker"
POOL = "echodrop"


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

"""The real Prefect ECS worker, started as the stack's service starts it, on moto's ECS."""

import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.ports import free_port
from sandbox.prefect_api import PrefectApi
from sandbox.processes import Part
from sandbox.template import Stack

NAME = "ecs-worker"


def ecs_worker(
    api: PrefectApi, stack: Stack, work_pool: str, environment: Mapping[str, str], log: Path
) -> Part:
    """Describe the worker's part; ready when the pool counts it as online.

    Args:
        api: the Prefect API it takes its work from.
        stack: whose worker it is: the command is its container's.
        work_pool: name of the pool.
        environment: its container's, and AWS and Prefect client variables only. It
            hands its own `PREFECT_*` on to every task, so the database's URL and
            the like must not be in there.
        log: file for its output.
    """
    (container,) = stack.task_definition("WorkerTask")["containerDefinitions"]
    program, *arguments = container["command"]
    return Part(
        NAME,
        [sys.executable, "-m", program, *arguments, "--name", "sandbox"],
        {
            **environment,
            # Beside other sandboxes on one host, and impatient.
            "PREFECT_WORKER_WEBSERVER_PORT": str(free_port()),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "1",
            "PREFECT_WORKER_PREFETCH_SECONDS": "1",
            "PREFECT_CLI_PROMPT": "false",
        },
        log,
        is_ready=lambda: api.worker_is_online(work_pool),
    )

"""Runs the real Prefect ECS worker with the command of the stack's service, on moto's ECS."""

import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.parts.ports import free_port
from sandbox.parts.processes import Part
from sandbox.prefect.prefect_api import SandboxPrefectApi
from sandbox.stack.template import Stack

NAME = "ecs-worker"


def ecs_worker(
    api: SandboxPrefectApi, stack: Stack, work_pool: str, environment: Mapping[str, str], log: Path
) -> Part:
    """Return the worker's part. It is ready when the work pool reports it online.

    Args:
        api: the Prefect API that the worker polls.
        stack: the stack whose container command is run.
        work_pool: name of the pool.
        environment: the container's variables and those of AWS and the Prefect client.
            The worker passes its own `PREFECT_*` to every task, so the environment
            must not contain server settings such as the database URL.
        log: file for its output.
    """
    (container,) = stack.task_definition("WorkerTask")["containerDefinitions"]
    program, *arguments = container["command"]
    return Part(
        NAME,
        [sys.executable, "-m", program, *arguments, "--name", "sandbox"],
        {
            **environment,
            # A free port for each sandbox on the host, and short intervals.
            "PREFECT_WORKER_WEBSERVER_PORT": str(free_port()),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "1",
            "PREFECT_WORKER_PREFETCH_SECONDS": "1",
            "PREFECT_CLI_PROMPT": "false",
        },
        log,
        is_ready=lambda: api.worker_is_online(work_pool),
    )

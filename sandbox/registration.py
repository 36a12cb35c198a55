"""Registers work pool and deployment such that tasks run against the sandbox."""

import os
from collections.abc import Mapping
from typing import Any

from prefect_aws.workers.ecs_worker import ECSWorker

from flows.deployments import WORK_POOL, register

# MiB; moto wants a number, and nothing in the sandbox holds a task to it.
_TASK_MEMORY = 4096


def base_job_template(task_environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the ECS worker's own template, with what the sandbox needs added.

    Each task gets the variables given, and the container its memory in the task
    definition, without which moto refuses to run a task.
    """
    template: dict[str, Any] = ECSWorker.get_default_base_job_template()
    definition = template["job_configuration"]["task_definition"]
    definition["containerDefinitions"][0]["memory"] = "{{ memory }}"
    variables = template["variables"]["properties"]
    variables["memory"]["default"] = _TASK_MEMORY
    variables["env"]["default"] = dict(task_environment)
    return template


def main() -> None:
    """Register with the Prefect API and the AWS of the environment (`python -m sandbox.registration`)."""
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for change in register(base_job_template(aws), work_pool=WORK_POOL).changes:
        print(change)  # noqa: T201 - into the sandbox's log


if __name__ == "__main__":
    main()

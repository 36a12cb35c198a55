"""The work pool's base job template, filled with the outputs of the deployed stack.

Image, roles, log and credential belong to the stack's task definition. A run only
overrides the size, so the worker never registers a definition and does not need the
permission.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("base_job_template.json")

# PrefectSecretKey of the stack -> the variable with the secret's name, which keeps the worker's own
# credential out of the tasks' environment.
_SECRET_VARIABLES = {
    "api_key": "prefect_api_key_secret_arn",
    "auth_string": "prefect_api_auth_string_secret_arn",
}
_NEEDED = (
    *("ClusterName", "TaskFamily", "Subnets", "SecurityGroup", "PublicIp"),
    *("PrefectSecretKey", "PrefectSecretName", "BrakeRunsAnHour", "BudgetName"),
    *("LiveConcurrency", "BackfillConcurrency", "ConversionConcurrency", "NotifyBlock"),
)


class StackOutputsError(ValueError):
    """The stack does not have the outputs for pool, queues and deployments in `missing`."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"the stack has no output {', '.join(missing)}: deploy it again")
        self.missing = missing


def check_outputs(outputs: Mapping[str, str]) -> None:
    """Check that a stack has all outputs for pool, queues and deployments.

    Raises:
        StackOutputsError: outputs are missing, as in a stack with an older version.
    """
    if missing := [name for name in _NEEDED if name not in outputs]:
        raise StackOutputsError(missing)


def base_job_template(outputs: Mapping[str, str]) -> dict[str, Any]:
    """Fill the template with a stack's outputs.

    Raises:
        StackOutputsError: outputs are missing, as in a stack with an older version.
    """
    check_outputs(outputs)
    defaults: dict[str, Any] = {
        "cluster": outputs["ClusterName"],
        "task_family": outputs["TaskFamily"],
        "subnets": outputs["Subnets"].split(","),
        "security_groups": [outputs["SecurityGroup"]],
        "assign_public_ip": outputs["PublicIp"],
    }
    if variable := _SECRET_VARIABLES.get(outputs["PrefectSecretKey"]):
        defaults[variable] = outputs["PrefectSecretName"]
    template: dict[str, Any] = json.loads(TEMPLATE.read_text("utf-8"))
    for name, value in defaults.items():
        template["variables"]["properties"][name]["default"] = value
    return template

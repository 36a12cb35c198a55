"""The work pool's base job template, filled with what the deployed stack made.

Image, roles, log and credential belong to the stack's one task definition. A
run only says how large it is, as overrides, so the worker never registers a
definition and needs no right to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("base_job_template.json")

# By the stack's PrefectSecretKey: the variable that names the secret, so that
# the worker keeps its own credential out of the tasks' environment.
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
    """The stack lacks outputs that pool, queues and deployments are made from: `missing` names them."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"the stack has no output {', '.join(missing)}: deploy it anew")
        self.missing = missing


def check_outputs(outputs: Mapping[str, str]) -> None:
    """Look whether a stack has all outputs that pool, queues and deployments are made from.

    Raises:
        StackOutputsError: outputs are missing, as in a stack of an older version.
    """
    if missing := [name for name in _NEEDED if name not in outputs]:
        raise StackOutputsError(missing)


def base_job_template(outputs: Mapping[str, str]) -> dict[str, Any]:
    """Fill the template in the repository with a stack's outputs.

    Args:
        outputs: of the stack made from template.yaml, by name.

    Raises:
        StackOutputsError: outputs are missing, as in a stack of an older version.
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

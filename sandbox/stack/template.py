"""Reads template.yaml, so that the sandbox runs what would be deployed."""

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from samtranslator.yaml_helper import (  # type: ignore[import-untyped] # it ships no type information
    yaml_parse,
)

from sandbox.stack.intrinsics import Resolver, TemplateError, Value, checked_parameters
from sandbox.stack.names import AwsAccount

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

# Parameters that a stack requires and the sandbox does not use.
UNUSED_PARAMETERS = {
    "AlertEmail": "nobody@example.org",
    "TaskImageDigest": "sha256:" + "0" * 64,
    "WorkerImageDigest": "sha256:" + "0" * 64,
}


def read_template(path: Path = TEMPLATE) -> dict[str, Any]:
    """Return the template in a file, as a copy of its own."""
    return copy.deepcopy(_parsed(path.read_text("utf-8")))


@functools.cache
def _parsed(text: str) -> dict[str, Any]:
    """Parse YAML with CloudFormation's tags, which takes half a second for the stack."""
    template: dict[str, Any] = yaml_parse(text)
    return template


@dataclass(frozen=True)
class TriggerDefinition:
    """The trigger's function and its event source. Timeout in seconds, memory in MiB."""

    name: str
    handler: str
    timeout: float
    memory: int
    environment: Mapping[str, str]
    queue: str
    batch_size: int
    maximum_concurrency: int
    partial_failures: bool


class Stack:
    """The stack that template.yaml creates with given parameters."""

    def __init__(self, template: Mapping[str, Any], resolver: Resolver) -> None:
        self._resources: Mapping[str, Any] = template["Resources"]
        self._outputs: Mapping[str, Any] = template.get("Outputs", {})
        self.resolver = resolver

    @classmethod
    def read(
        cls,
        parameters: Mapping[str, str],
        account: AwsAccount | None = None,
        path: Path = TEMPLATE,
    ) -> Self:
        """Read a template with parameters.

        Raises:
            TemplateError: the parameters are invalid.
        """
        template = read_template(path)
        resolver = Resolver(
            template, checked_parameters(template, parameters), account or AwsAccount()
        )
        if broken := resolver.broken_rules():
            raise TemplateError(path.name, "; ".join(broken))
        return cls(template, resolver)

    def of_type(self, resource_type: str) -> list[str]:
        """Return the logical ids of the stack's resources of a type."""
        return [
            name
            for name, resource in self._resources.items()
            if resource["Type"] == resource_type and self.resolver.exists(name)
        ]

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Return a resource's resolved properties.

        Raises:
            TemplateError: the stack would have no such resource.
        """
        if not self.resolver.exists(logical_id):
            raise TemplateError(logical_id, "the stack would have no such resource")
        properties: dict[str, Any] = self.resolver.resolve(
            self._resources[logical_id].get("Properties", {})
        )
        return properties

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs, by name."""
        return {
            name: str(self.resolver.resolve(output["Value"]))
            for name, output in self._outputs.items()
            if "Condition" not in output or self.resolver.condition(output["Condition"])
        }

    def trigger(self) -> TriggerDefinition:
        """Return the trigger's function and its event source."""
        properties = self.properties("Trigger")
        (source,) = (
            event["Properties"] for event in properties["Events"].values() if event["Type"] == "SQS"
        )
        return TriggerDefinition(
            name=properties["FunctionName"],
            handler=properties["Handler"],
            timeout=int(properties["Timeout"]),
            memory=int(properties["MemorySize"]),
            environment=properties["Environment"]["Variables"],
            queue=source["Queue"].rpartition(":")[2],
            batch_size=int(source["BatchSize"]),
            maximum_concurrency=int(source["ScalingConfig"]["MaximumConcurrency"]),
            partial_failures="ReportBatchItemFailures" in source["FunctionResponseTypes"],
        )

    def task_definition(self, logical_id: str) -> dict[str, Any]:
        """Return a task definition for boto3's `register_task_definition`."""
        definition: dict[str, Any] = _api_names(self.properties(logical_id))
        for size in ("cpu", "memory"):
            definition[size] = str(definition[size])
        for container in definition["containerDefinitions"]:
            # moto requires it.
            container["memory"] = int(definition["memory"])
        return definition


def _api_names(value: Value, *, keep: bool = False) -> Value:
    """Convert property names to the API's spelling, except a log driver's options."""
    if isinstance(value, list):
        return [_api_names(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key if keep else key[0].lower() + key[1:]: _api_names(item, keep=key == "Options")
        for key, item in value.items()
    }


@dataclass(frozen=True)
class ResourceNames:
    """Names of the resources that users of the sandbox need; `alert_topic` is an ARN."""

    inbox_bucket: str
    output_bucket: str
    notifications_queue: str
    dead_letter_queue: str
    uploads_rule: str
    task_events_queue: str
    task_events_rule: str
    rules_parameter: str
    alert_topic: str
    cluster: str
    worker_service: str
    work_pool: str

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """Take the names from a stack."""
        outputs, name = stack.outputs(), stack.resolver.name
        return cls(
            inbox_bucket=outputs["Inbox"],
            output_bucket=outputs["Output"],
            notifications_queue=name("UploadQueue"),
            dead_letter_queue=name("UploadDeadLetters"),
            uploads_rule=name("UploadRule"),
            task_events_queue=name("TaskStateQueue"),
            task_events_rule=name("TaskStateRule"),
            rules_parameter=outputs["RulesParameter"],
            alert_topic=outputs["Alerts"],
            cluster=outputs["ClusterName"],
            worker_service=outputs["WorkerServiceName"],
            work_pool=outputs["WorkPoolName"],
        )

"""An account with a deployed stack, as far as registering and checking look at it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3

from benchmarks.measuring.servers import running
from flows.deployment.stack_deployment import deploy
from sandbox.parts.environments import aws_environment, system_environment
from sandbox.parts.ports import HOST, free_port
from sandbox.parts.processes import Part
from sandbox.stack.template import UNUSED_PARAMETERS, Stack

STACK = "echodrop"
POOL = "registered-pool"


class Account:
    """Moto, with what a stack's check looks at."""

    def __init__(self, api_url: str) -> None:
        self.notifications: dict[str, Any] | None = None
        self.quota = 6.0
        parameters = UNUSED_PARAMETERS | {
            "PrefectApiUrl": api_url,
            "PrefectAuth": "none",
            "WorkPool": POOL,
        }
        self.stack = Stack.read(parameters)
        self.outputs = self.stack.outputs()
        sqs, ecs = self.client("sqs"), self.client("ecs")
        sqs.create_queue(QueueName=self.outputs["ObserverQueue"])
        definition = self.stack.task_definition("ConversionTask")
        ecs.register_task_definition(**definition)
        ecs.create_cluster(clusterName=self.outputs["ClusterName"])
        ecs.create_service(
            cluster=self.outputs["ClusterName"],
            serviceName=self.outputs["WorkerServiceName"],
            taskDefinition=definition["family"],
            desiredCount=0,
        )
        self.client("s3").create_bucket(Bucket=self.outputs["Inbox"])
        self.client("cloudformation").create_stack(StackName=STACK, TemplateBody=self._template())

    def _template(self) -> str:
        outputs = {name: {"Value": value} for name, value in self.outputs.items()}
        return json.dumps({"Resources": {"Any": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs})

    def update(self, **outputs: str | None) -> None:
        """Give the stack other outputs; None takes one away."""
        changed = {**self.outputs, **outputs}
        self.outputs = {name: value for name, value in changed.items() if value is not None}
        self.client("cloudformation").update_stack(StackName=STACK, TemplateBody=self._template())

    def client(self, service: str) -> Any:
        if service == "s3" and self.notifications is not None:
            # moto forgets that EventBridge is notified: its settings are empty.
            return SimpleNamespace(
                get_bucket_notification_configuration=lambda **_: self.notifications
            )
        if service == "service-quotas":
            # moto knows no quota of Fargate.
            quota = {"Quota": {"Value": self.quota}}
            return SimpleNamespace(get_service_quota=lambda **_: quota)
        if service == "ce":
            # Nor a tag of Cost Explorer.
            tags = [{"TagKey": "application", "Status": "Active"}]
            return SimpleNamespace(
                list_cost_allocation_tags=lambda **_: {"CostAllocationTags": tags}
            )
        return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]  # the stubs want a literal

    def deploy(self, **options: Any) -> tuple[bool, str]:
        lines: list[str] = []
        good = deploy(self.client, STACK, lines.append, **options)
        return good, "\n".join(lines)

    def want_worker(self) -> None:
        """Have the service want one, as a stack does that is deployed whole."""
        self.client("ecs").update_service(
            cluster=self.outputs["ClusterName"],
            service=self.outputs["WorkerServiceName"],
            desiredCount=1,
        )

    @contextmanager
    def worker(self, folder: Path, environment: Mapping[str, str]) -> Iterator[Callable[[], str]]:
        """The stack's own command, more impatient than in AWS; yields its log.

        Args:
            folder: for the log.
            environment: of the worker, with Prefect's API; AWS does not answer it.
        """
        (container,) = self.stack.task_definition("WorkerTask")["containerDefinitions"]
        program, *arguments = container["command"]
        impatient = {
            **system_environment(),
            **environment,
            **aws_environment(f"http://{HOST}:{free_port()}"),
            "PREFECT_WORKER_WEBSERVER_HOST": HOST,
            "PREFECT_WORKER_WEBSERVER_PORT": str(free_port()),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "1",
            "PREFECT_CLI_PROMPT": "false",
        }
        log = folder / "worker.log"
        command = [sys.executable, "-m", program, *arguments]
        with running(Part("worker", command, impatient, log, stop_within=20)) as started:
            yield log.read_text
            assert started.is_running, log.read_text()

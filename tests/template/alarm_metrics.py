"""The metrics that alarms watch, and whether a part of the stack writes them and may do so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.runs.run_products import SERVICE as PRODUCTS
from operations.reconcile.reconcile_report import NAMESPACE
from operations.reconcile.reconcile_report import SERVICE as RECONCILE
from tests.template.deliveries import log_group_arn, refusals_of_role
from tests.template.stacks import Translated
from tests.template.written_metrics import Metric, written_metrics

# By namespace: the metrics that the service writes, and the resource that each dimension names.
# Source: the service's own page of its CloudWatch metrics.
OF_SERVICES: dict[str, tuple[set[str], dict[str, str]]] = {
    "AWS/SQS": (
        {
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfEmptyReceives",
            "NumberOfMessagesDeleted",
            "NumberOfMessagesReceived",
            "NumberOfMessagesSent",
        },
        {"QueueName": "AWS::SQS::Queue"},
    ),
    "AWS/Lambda": (
        {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
        {"FunctionName": "AWS::Lambda::Function"},
    ),
    "AWS/Events": (
        {"FailedInvocations", "Invocations", "InvocationsSentToDlq", "ThrottledRules"},
        {"RuleName": "AWS::Events::Rule"},
    ),
    "AWS/ECS": (
        {"CPUUtilization", "MemoryUtilization"},
        {"ClusterName": "AWS::ECS::Cluster", "ServiceName": "AWS::ECS::Service"},
    ),
}
# By `service` of an echodrop metric: the function whose log contains it.
FUNCTIONS = {"trigger": "Trigger", "watchdog": "Watchdog"}


@dataclass(frozen=True)
class Watched:
    """A metric as an alarm names it."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @property
    def identity(self) -> Metric:
        """Namespace, name and dimensions: CloudWatch keeps a metric for each set of dimensions."""
        return self.namespace, self.name, self.dimensions


def metrics_of(alarm: Mapping[str, Any]) -> Iterator[Watched]:
    """Yield the metrics that an alarm watches: one, or those that it calculates with."""
    stats = [
        each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each
    ]
    for metric in stats or [alarm]:
        dimensions = frozenset(
            (each["Name"], each["Value"]) for each in metric.get("Dimensions", [])
        )
        yield Watched(metric["Namespace"], metric["MetricName"], dimensions)


def faults(stack: Translated, watched: Watched) -> Iterator[str]:
    """Yield the reasons why a metric would never have a value: no writer, or no right to write it."""
    if watched.namespace in OF_SERVICES:
        yield from _faults_of_service(stack, watched)
    elif watched.identity not in written_metrics(stack.account.stack_name):
        yield f"nothing writes {watched.name} by {sorted(watched.dimensions)}"
    else:
        yield from _refusals(stack, dict(watched.dimensions)["service"])


def _faults_of_service(stack: Translated, watched: Watched) -> Iterator[str]:
    names, kinds = OF_SERVICES[watched.namespace]
    if watched.name not in names:
        yield f"{watched.namespace} writes no {watched.name}"
    if {name for name, _ in watched.dimensions} != set(kinds):
        yield f"{watched.namespace} writes {watched.name} by {sorted(kinds)}"
        return
    for name, value in watched.dimensions:
        if value not in {stack.name_of(each) for each in stack.of_type(kinds[name])}:
            yield f"the stack has no {kinds[name]} of the name {value}"


def _refusals(stack: Translated, service: str) -> Iterator[str]:
    if service == RECONCILE:
        role = stack.of_type("AWS::ECS::TaskDefinition")["OperationsTask"]["TaskRoleArn"]
        keys = {"cloudwatch:namespace": NAMESPACE}
        yield from refusals_of_role(stack, role, "cloudwatch:PutMetricData", "*", keys)
        return
    if service == PRODUCTS:
        task = stack.of_type("AWS::ECS::TaskDefinition")["ConversionTask"]
        (container,) = task["ContainerDefinitions"]
        group = container["LogConfiguration"]["Options"]["awslogs-group"]
        role = task["ExecutionRoleArn"]
    else:
        function = stack.of_type("AWS::Lambda::Function")[FUNCTIONS[service]]
        group, role = function["LoggingConfig"]["LogGroup"], function["Role"]
    streams = f"{log_group_arn(stack, group)}:log-stream:any"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield from refusals_of_role(stack, role, action, streams, {})

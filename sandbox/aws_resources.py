"""What echodrop needs in AWS, made in the sandbox's moto: names, queues, rules."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.environments import REGION

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

ACCOUNT = "123456789012"  # moto's


@dataclass(frozen=True)
class ResourceNames:
    """The names under which the sandbox's resources are found."""

    inbox_bucket: str = "echodrop-inbox"
    output_bucket: str = "echodrop-output"
    notifications_queue: str = "echodrop-notifications"
    dead_letter_queue: str = "echodrop-notifications-dead"
    uploads_rule: str = "echodrop-uploads"
    task_events_queue: str = "echodrop-ecs-task-events"
    task_events_rule: str = "echodrop-ecs-task-events"
    rules_parameter: str = "/echodrop/rules"
    alert_topic: str = "echodrop-alerts"
    # moto's RunTask looks for the cluster of this name when none is given.
    cluster: str = "default"


@dataclass(frozen=True)
class Delivery:
    """How the notification queue delivers.

    Attributes:
        visibility_timeout: seconds until a record that failed comes again. AWS
            asks for six times the function's timeout; the sandbox is impatient.
        max_receives: deliveries after which a record goes to the dead-letter
            queue. Times the visibility timeout this is how long an outage of
            Prefect may last: over an hour.
    """

    visibility_timeout: int = 20
    max_receives: int = 200


def queue_arn(name: str) -> str:
    """Return the ARN of a queue in the sandbox."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def rules_document(names: ResourceNames) -> str:
    """Return the trigger's rules (TOML): every key, to Zarr, under the same name."""
    return f"""\
version = 1
inbox_bucket = "{names.inbox_bucket}"
output_bucket = "{names.output_bucket}"

[size_limits]
pause_above = 5_000_000_000
reject_above = 20_000_000_000

[waiting]
limit_hours = 24

[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
output_type = "zarr"
output_prefix = ""
"""


def create_resources(
    client: Callable[[str], Any], names: ResourceNames, delivery: Delivery, rules: str
) -> None:
    """Create all resources; the buckets notify from the first object on.

    Args:
        client: returns a boto3 client of the service named.
        names: what to call the resources.
        delivery: how the notification queue delivers.
        rules: the trigger's rules document.
    """
    _create_queues(client("sqs"), names, delivery)
    _create_rules(client("events"), names)
    _create_buckets(client("s3"), names)
    client("ssm").put_parameter(
        Name=names.rules_parameter, Value=rules, Type="String", Overwrite=True
    )
    client("ecs").create_cluster(clusterName=names.cluster)
    client("sns").create_topic(Name=names.alert_topic)


def hold_tasks_still(endpoint_url: str) -> None:
    """Keep moto's ECS tasks running until they are stopped.

    Otherwise each look at a task moves it one state further, by itself.
    """
    transition = {
        "model_name": "ecs::task",
        "transition": {"progression": "manual", "times": 1_000_000},
    }
    url = f"{endpoint_url}/moto-api/state-manager/set-transition"
    body = json.dumps(transition).encode()
    urllib.request.urlopen(url, data=body, timeout=10).close()  # noqa: S310 - a loopback http URL


def _create_queues(sqs: "SQSClient", names: ResourceNames, delivery: Delivery) -> None:
    sqs.create_queue(
        QueueName=names.dead_letter_queue,
        Attributes={"MessageRetentionPeriod": str(14 * 24 * 3600)},
    )
    redrive = {
        "deadLetterTargetArn": queue_arn(names.dead_letter_queue),
        "maxReceiveCount": delivery.max_receives,
    }
    sqs.create_queue(
        QueueName=names.notifications_queue,
        Attributes={
            "VisibilityTimeout": str(delivery.visibility_timeout),
            "RedrivePolicy": json.dumps(redrive),
        },
    )
    sqs.create_queue(QueueName=names.task_events_queue)


def _create_rules(events: "EventBridgeClient", names: ResourceNames) -> None:
    uploads = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [names.inbox_bucket]}},
    }
    tasks = {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]}
    for rule, pattern, queue in (
        (names.uploads_rule, uploads, names.notifications_queue),
        (names.task_events_rule, tasks, names.task_events_queue),
    ):
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue_arn(queue)}])


def _create_buckets(s3: "S3Client", names: ResourceNames) -> None:
    for bucket in (names.inbox_bucket, names.output_bucket):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=names.inbox_bucket,
        NotificationConfiguration={"EventBridgeConfiguration": {}},
    )

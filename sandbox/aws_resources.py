"""Makes the stack of template.yaml in the sandbox's moto, as CloudFormation would.

moto's own CloudFormation drops most properties on the way, so each resource is
made by its service's API. Roles, policies, keys, networks, alarms and the
dashboard stay out: moto does not act on them; tests/template looks at those.
"""

import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.template import Stack

# Returns a boto3 client of the service named.
Client = Callable[[str], Any]


@dataclass(frozen=True)
class Delivery:
    """How much more impatient the sandbox is than the template: the only values that are not its.

    Attributes:
        visibility_timeout: seconds until a notification that failed comes again.
            The template has six times the function's timeout, 360; times
            MaxReceiveCount this is how long an outage of Prefect may last.
    """

    visibility_timeout: int = 20


def make_stack(client: Client, stack: Stack, delivery: Delivery) -> None:
    """Make what the sandbox needs of a stack; the inbox notifies from the first object on.

    Args:
        client: returns a boto3 client of the service named.
        stack: what the template says.
        delivery: how the notification queue delivers.
    """
    _make_queues(client, stack, delivery)
    _make_topics(client, stack)
    _make_rules(client, stack)
    _make_buckets(client, stack)
    for name in stack.of_type("AWS::SSM::Parameter"):
        parameter = stack.properties(name)
        client("ssm").put_parameter(
            **{key: parameter[key] for key in ("Name", "Description", "Type", "Value")},
            Overwrite=True,
        )
    for name in stack.of_type("AWS::SecretsManager::Secret"):
        client("secretsmanager").create_secret(Name=_findable_name(stack, name))
    _make_tasks(client, stack)
    _tell_outputs(client, stack)


def put_credential(client: Client, stack: Stack, credential: str) -> None:
    """Put a value into the secret that the stack made unset, as its operator does."""
    outputs = stack.outputs()
    client("secretsmanager").put_secret_value(
        SecretId=outputs["PrefectSecretName"],
        SecretString=json.dumps({outputs["PrefectSecretKey"]: credential}),
    )


def _findable_name(stack: Stack, logical_id: str) -> str:
    """Name a secret so that moto finds it by the ARN the stack gives it, whose end AWS makes up."""
    arn: str = stack.resolver.resolve({"Ref": logical_id})
    return arn.rpartition(":")[2]


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


def queue_attributes(stack: Stack, logical_id: str, delivery: Delivery) -> dict[str, str]:
    """Return a queue's attributes: the template's, the upload queue's visibility the sandbox's."""
    attributes = stack.queue(logical_id).attributes()
    if logical_id == "UploadQueue":
        attributes["VisibilityTimeout"] = str(delivery.visibility_timeout)
    return attributes


def _make_queues(client: Client, stack: Stack, delivery: Delivery) -> None:
    sqs, queues = client("sqs"), stack.of_type("AWS::SQS::Queue")
    # Those without dead letters are the others' dead letters, which have to be there first.
    for name in sorted(queues, key=lambda name: stack.queue(name).dead_letters is not None):
        sqs.create_queue(
            QueueName=stack.queue(name).name, Attributes=queue_attributes(stack, name, delivery)
        )


def _make_topics(client: Client, stack: Stack) -> None:
    sns = client("sns")
    for name in stack.of_type("AWS::SNS::Topic"):
        sns.create_topic(Name=stack.properties(name)["TopicName"])
    for name in stack.of_type("AWS::SNS::Subscription"):
        sns.subscribe(**stack.properties(name))


def _make_rules(client: Client, stack: Stack) -> None:
    events = client("events")
    for name in stack.of_type("AWS::Events::Rule"):
        rule = stack.rule(name)
        when = (
            {"EventPattern": json.dumps(rule.pattern)}
            if rule.pattern is not None
            else {"ScheduleExpression": rule.schedule}
        )
        events.put_rule(Name=rule.name, **when)
        answer = events.put_targets(Rule=rule.name, Targets=rule.targets)
        if answer["FailedEntryCount"]:
            raise ValueError(f"rule {rule.name}: {answer['FailedEntries']}")


def _make_buckets(client: Client, stack: Stack) -> None:
    s3 = client("s3")
    for name in stack.of_type("AWS::S3::Bucket"):
        properties = stack.properties(name)
        bucket = properties["BucketName"]
        s3.create_bucket(Bucket=bucket)
        if versioning := properties.get("VersioningConfiguration"):
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
        if "EventBridgeConfiguration" in properties.get("NotificationConfiguration", {}):
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )


def _make_tasks(client: Client, stack: Stack) -> None:
    ecs = client("ecs")
    for name in stack.of_type("AWS::ECS::Cluster"):
        ecs.create_cluster(clusterName=stack.properties(name)["ClusterName"])
    for name in stack.of_type("AWS::ECS::TaskDefinition"):
        ecs.register_task_definition(**registrable(stack.task_definition(name)))
    for name in stack.of_type("AWS::ECS::Service"):
        service = stack.properties(name)
        ecs.create_service(
            cluster=service["Cluster"],
            serviceName=service["ServiceName"],
            taskDefinition=service["TaskDefinition"],
            desiredCount=int(service["DesiredCount"]),
        )


def registrable(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task definition as moto takes it: it counts a container's memory, AWS the task's."""
    containers = [
        {**container, "memory": int(definition["memory"])}
        for container in definition["containerDefinitions"]
    ]
    return {**definition, "containerDefinitions": containers}


def _tell_outputs(client: Client, stack: Stack) -> None:
    """Make a stack in moto's CloudFormation that has the outputs, and of resources the log groups."""
    # AWS makes the network's names up; moto's are those of the network it brings along.
    subnets = client("ec2").describe_subnets()["Subnets"]
    outputs = stack.outputs() | {
        "Subnets": ",".join(subnet["SubnetId"] for subnet in subnets[:2]),
    }
    groups = {
        name: {"Type": "AWS::Logs::LogGroup", "Properties": stack.properties(name)}
        for name in stack.of_type("AWS::Logs::LogGroup")
    }
    template = {
        "Resources": groups,
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    client("cloudformation").create_stack(
        StackName=stack.resolver.account.stack_name, TemplateBody=json.dumps(template)
    )

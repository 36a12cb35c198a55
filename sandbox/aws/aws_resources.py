"""Creates the stack of template.yaml in the sandbox's moto.

moto's CloudFormation ignores most properties, so each resource is created through
its service's API. Roles, policies, keys, networks, alarms and the dashboard are not
created, because moto does not apply them; tests/template checks those.
"""

import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.stack.template import Stack

# Returns a boto3 client for a service.
Client = Callable[[str], Any]


# Seconds; the template has 360, six times the function's timeout.
VISIBILITY_TIMEOUT = 20


def make_stack(client: Client, stack: Stack, visibility_timeout: int = VISIBILITY_TIMEOUT) -> None:
    """Create the resources of a stack that the sandbox needs.

    SQS delivers a failed notification again after `visibility_timeout` seconds.
    """
    _make_queues(client, stack, visibility_timeout)
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
    _create_outputs(client, stack)


def put_credential(client: Client, stack: Stack, credential: str) -> None:
    """Store a value in the secret, which the stack creates empty."""
    outputs = stack.outputs()
    client("secretsmanager").put_secret_value(
        SecretId=outputs["PrefectSecretName"],
        SecretString=json.dumps({outputs["PrefectSecretKey"]: credential}),
    )


def _findable_name(stack: Stack, logical_id: str) -> str:
    """Return a secret name under which moto finds the stack's ARN; AWS generates its end."""
    arn: str = stack.resolver.resolve({"Ref": logical_id})
    return arn.rpartition(":")[2]


def keep_tasks_running(endpoint_url: str) -> None:
    """Keep moto's ECS tasks running until they are stopped.

    By default moto advances a task's state each time it is described.
    """
    transition = {
        "model_name": "ecs::task",
        "transition": {"progression": "manual", "times": 1_000_000},
    }
    url = f"{endpoint_url}/moto-api/state-manager/set-transition"
    body = json.dumps(transition).encode()
    urllib.request.urlopen(url, data=body, timeout=10).close()  # noqa: S310 - a loopback http URL


def _make_queues(client: Client, stack: Stack, visibility_timeout: int) -> None:
    queues = {name: stack.queue_attributes(name) for name in stack.of_type("AWS::SQS::Queue")}
    queues["UploadQueue"]["VisibilityTimeout"] = str(visibility_timeout)
    # Dead letter queues have no dead letter queue themselves; they must exist first.
    for name in sorted(queues, key=lambda name: "RedrivePolicy" in queues[name]):
        queue = stack.resolver.name(name)
        client("sqs").create_queue(QueueName=queue, Attributes=queues[name])


def _make_topics(client: Client, stack: Stack) -> None:
    sns = client("sns")
    for name in stack.of_type("AWS::SNS::Topic"):
        sns.create_topic(Name=stack.properties(name)["TopicName"])
    for name in stack.of_type("AWS::SNS::Subscription"):
        sns.subscribe(**stack.properties(name))


def _make_rules(client: Client, stack: Stack) -> None:
    events = client("events")
    for name in stack.of_type("AWS::Events::Rule"):
        rule = stack.properties(name)
        when = (
            {"EventPattern": json.dumps(rule["EventPattern"])}
            if "EventPattern" in rule
            else {"ScheduleExpression": rule["ScheduleExpression"]}
        )
        events.put_rule(Name=rule["Name"], **when)
        answer = events.put_targets(Rule=rule["Name"], Targets=rule["Targets"])
        if answer["FailedEntryCount"]:
            raise ValueError(f"rule {rule['Name']}: {answer['FailedEntries']}")


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
        ecs.register_task_definition(**registration_arguments(stack.task_definition(name)))
    for name in stack.of_type("AWS::ECS::Service"):
        service = stack.properties(name)
        ecs.create_service(
            cluster=service["Cluster"],
            serviceName=service["ServiceName"],
            taskDefinition=service["TaskDefinition"],
            desiredCount=int(service["DesiredCount"]),
        )


def registration_arguments(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of register_task_definition; moto requires memory per container."""
    containers = [
        {**container, "memory": int(definition["memory"])}
        for container in definition["containerDefinitions"]
    ]
    return {**definition, "containerDefinitions": containers}


def _create_outputs(client: Client, stack: Stack) -> None:
    """Create a stack in moto's CloudFormation that has only the outputs and the log groups."""
    # AWS generates subnet ids. moto has a default network with ids of its own.
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

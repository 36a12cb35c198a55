"""Creates the stack of template.yaml in the sandbox's moto.

moto's CloudFormation creates what it creates with all properties; the others are created
through their service's API. Roles, policies, keys, networks, alarms and the dashboard are not
created, because moto does not apply them; tests/template checks those.
"""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from sandbox.stack.template import Stack

# Returns a boto3 client for a service.
Client = Callable[[str], Any]


# Seconds; the template has 360, six times the function's timeout.
VISIBILITY_TIMEOUT = 20
_BY_CLOUDFORMATION = (
    *("AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::Events::Rule", "AWS::SSM::Parameter"),
    *("AWS::Logs::LogGroup", "AWS::ECS::Cluster", "AWS::ECS::Service"),
)


def make_stack(client: Client, stack: Stack, visibility_timeout: int = VISIBILITY_TIMEOUT) -> None:
    """Create the resources of a stack that the sandbox needs.

    SQS delivers a failed notification again after `visibility_timeout` seconds.
    """
    for name in stack.of_type("AWS::ECS::TaskDefinition"):
        client("ecs").register_task_definition(**stack.task_definition(name))
    _make_buckets(client, stack)
    for name in stack.of_type("AWS::SecretsManager::Secret"):
        # moto finds the stack's ARN by this name; AWS generates its end.
        arn: str = stack.resolver.resolve({"Ref": name})
        client("secretsmanager").create_secret(Name=arn.rpartition(":")[2])
    _create_stack(client, stack, visibility_timeout)
    for name in stack.of_type("AWS::SNS::Subscription"):
        client("sns").subscribe(**stack.properties(name))


def put_credential(client: Client, stack: Stack, credential: str) -> None:
    """Store a value in the secret, which the stack creates empty."""
    outputs = stack.outputs()
    client("secretsmanager").put_secret_value(
        SecretId=outputs["PrefectSecretName"],
        SecretString=json.dumps({outputs["PrefectSecretKey"]: credential}),
    )


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


def _create_stack(client: Client, stack: Stack, visibility_timeout: int) -> None:
    # AWS generates subnet ids. moto has a default network with ids of its own.
    subnets = client("ec2").describe_subnets()["Subnets"]
    outputs = stack.outputs() | {
        "Subnets": ",".join(subnet["SubnetId"] for subnet in subnets[:2]),
    }
    resources: dict[str, dict[str, Any]] = {
        name: {"Type": kind, "Properties": stack.properties(name)}
        for kind in _BY_CLOUDFORMATION
        for name in stack.of_type(kind)
    }
    resources["UploadQueue"]["Properties"]["VisibilityTimeout"] = visibility_timeout
    for name in stack.of_type("AWS::ECS::Service"):
        service = resources[name]["Properties"]
        service["DesiredCount"] = int(service["DesiredCount"])
    # Dead letter queues must exist first.
    ordered = sorted(resources, key=lambda name: "RedrivePolicy" in resources[name]["Properties"])
    template = {
        "Resources": {name: resources[name] for name in ordered},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    client("cloudformation").create_stack(
        StackName=stack.resolver.account.stack_name, TemplateBody=json.dumps(template)
    )

"""A stack created in moto from the packaged template, for the resources that moto really creates."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from sandbox.stack.template import Stack
from tests.template.stacks import MADE, source_template, translate

# moto skips the others, creates them without most of their properties, or
# fails on a function in them; the invariants check those in the template.
REALLY_MADE = {
    "AWS::ECS::Cluster",
    "AWS::ECS::TaskDefinition",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
}
# It has no secrets either.
GIVEN = MADE | {"PrefectAuth": "none"}


@pytest.fixture(scope="module")
def session() -> Iterator[boto3.Session]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        packaged = translate(source_template(), GIVEN).template
        parts = {name: packaged[name] for name in ("Parameters", "Conditions")}
        parts["Resources"] = {
            name: resource
            for name, resource in packaged["Resources"].items()
            # The watchdog's schedule starts a function, and functions are left out.
            if resource["Type"] in REALLY_MADE and name != "WatchRule"
        }
        session = boto3.Session()
        session.client("cloudformation").create_stack(
            StackName="echodrop",
            TemplateBody=json.dumps(parts, default=str),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value} for name, value in GIVEN.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        yield session


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack.read(GIVEN)


@pytest.mark.parametrize(
    "logical_id", ["UploadQueue", "UploadDeadLetters", "TaskStateQueue", "TaskStateDeadLetters"]
)
def test_queue_is_created_as_the_sandbox_reads_it(
    logical_id: str, session: boto3.Session, stack: Stack
) -> None:
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName=stack.resolver.name(logical_id))["QueueUrl"]
    made: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    wanted = stack.properties(logical_id)
    for name in {"VisibilityTimeout", "MessageRetentionPeriod"} & set(wanted):
        assert made[name] == str(wanted[name])
    if redrive := wanted.get("RedrivePolicy"):
        receives = int(redrive["maxReceiveCount"])
        assert json.loads(made["RedrivePolicy"]) == redrive | {"maxReceiveCount": receives}


@pytest.mark.parametrize(
    "logical_id", ["UploadRule", "KilledTaskRule", "TaskStateRule", "FailedTaskRule"]
)
def test_rule_is_created_as_the_sandbox_reads_it(
    logical_id: str, session: boto3.Session, stack: Stack
) -> None:
    events, rule = session.client("events"), stack.properties(logical_id)
    made = events.describe_rule(Name=rule["Name"])
    assert json.loads(made.get("EventPattern", "null")) == rule.get("EventPattern")
    assert made.get("ScheduleExpression") == rule.get("ScheduleExpression")
    targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert [target["Arn"] for target in targets] == [target["Arn"] for target in rule["Targets"]]


def test_the_rules_document_is_where_the_trigger_looks(
    session: boto3.Session, stack: Stack
) -> None:
    name = stack.trigger().environment["ECHODROP_RULES_PARAMETER"]
    value = session.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    assert value == stack.properties("RulesDocument")["Value"]


def test_the_conversion_task_is_created_as_the_sandbox_reads_it(
    session: boto3.Session, stack: Stack
) -> None:
    wanted = stack.task_definition("ConversionTask")
    made: Any = session.client("ecs").describe_task_definition(taskDefinition=wanted["family"])
    made = made["taskDefinition"]
    (container,) = made["containerDefinitions"]
    (wanted_container,) = wanted["containerDefinitions"]
    assert container["name"] == wanted_container["name"]
    assert container["image"] == wanted_container["image"]
    assert container["environment"] == wanted_container["environment"]


def test_data_are_kept_apart(session: boto3.Session, stack: Stack) -> None:
    names = {bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]}
    assert {stack.outputs()["Inbox"], stack.outputs()["Output"]} <= names

"""The texts that AWS accepts for names and descriptions of resources.

Most rules come from the services' own models in botocore. The others are written
here with their source: a service refuses such a text too, but only when the stack
is created.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.session import get_session


@dataclass(frozen=True)
class Text:
    """A rule for a text: a pattern for all of it, and its maximum length in characters."""

    pattern: str
    longest: int

    def faults(self, text: str) -> Iterator[str]:
        """Yield the reasons why a text would be refused."""
        if not re.fullmatch(self.pattern, text, re.DOTALL):
            refused = sorted({each for each in text if not re.fullmatch(self.pattern, each)})
            yield f"{text!r} is refused, perhaps for {''.join(refused)!r}"
        if len(text) > self.longest:
            yield f"{text!r} has {len(text)} characters, {self.longest} are taken"


@dataclass(frozen=True)
class Shape:
    """A text as the service's model defines it."""

    service: str
    name: str

    def faults(self, text: str) -> Iterator[str]:
        """Yield the reasons why a text would be refused."""
        bounds = _bounds(self.service, self.name)
        yield from Text(bounds.get("pattern", ".*"), bounds["max"]).faults(text)


@cache
def _bounds(service: str, name: str) -> Mapping[str, Any]:
    model = get_session().get_service_model(service)
    bounds: Mapping[str, Any] = model.shape_for(name).metadata
    return bounds


# "AWS::EC2::SecurityGroup", CloudFormation template reference.
_OF_GROUPS = Text(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*", 255)
# "IAM JSON policy elements: Sid", IAM user guide; no service accepts less.
_SID = Text(r"[A-Za-z0-9]*", 128)
# "ClusterName", "ServiceName", "Family" and "Name", CloudFormation template reference of ECS.
_OF_ECS = Text(r"[A-Za-z0-9_-]+", 255)
# `PutDashboard`, CloudWatch API reference.
_DASHBOARD = Text(r"[A-Za-z0-9_-]+", 255)
_VARIABLE = Text(r"[A-Za-z_][A-Za-z0-9_]*", 255)
# By type: the rule for each text, by its path in the properties.
ACCEPTED: Mapping[str, Mapping[str, Text | Shape]] = {
    "AWS::Budgets::Budget": {
        # Without `:` and `\`; the model's own pattern is not valid in Python.
        "Budget.BudgetName": Text(r"[^:\\]+", 100),
    },
    "AWS::CloudWatch::Alarm": {
        "AlarmName": Shape("cloudwatch", "AlarmName"),
        "AlarmDescription": Shape("cloudwatch", "AlarmDescription"),
        "MetricName": Text(r"[\x20-\x7E]+", 255),
        "Dimensions[].Name": Text(r"[\x21-\x39\x3B-\x7E][\x20-\x7E]*", 255),
        "Metrics[].MetricStat.Metric.MetricName": Text(r"[\x20-\x7E]+", 255),
        "Metrics[].MetricStat.Metric.Dimensions[].Name": Text(
            r"[\x21-\x39\x3B-\x7E][\x20-\x7E]*", 255
        ),
        "Metrics[].Id": Text(r"[a-z][A-Za-z0-9_]*", 255),
    },
    "AWS::CloudWatch::Dashboard": {"DashboardName": _DASHBOARD},
    "AWS::EC2::SecurityGroup": {
        "GroupName": _OF_GROUPS,
        "GroupDescription": _OF_GROUPS,
        "SecurityGroupEgress[].Description": _OF_GROUPS,
        "SecurityGroupIngress[].Description": _OF_GROUPS,
    },
    "AWS::EC2::VPCEndpoint": {
        "ServiceName": Text(r"(cn\.)?com\.amazonaws\.[a-z0-9-]+\.[a-z0-9.-]+", 255),
        "PolicyDocument.Statement[].Sid": _SID,
    },
    "AWS::ECR::Repository": {
        "RepositoryName": Shape("ecr", "RepositoryName"),
        "RepositoryPolicyText.Statement[].Sid": _SID,
    },
    "AWS::ECS::Cluster": {"ClusterName": _OF_ECS},
    "AWS::ECS::Service": {"ServiceName": _OF_ECS},
    "AWS::ECS::TaskDefinition": {
        "Family": _OF_ECS,
        "ContainerDefinitions[].Name": _OF_ECS,
        "ContainerDefinitions[].Environment[].Name": _VARIABLE,
        "ContainerDefinitions[].Secrets[].Name": _VARIABLE,
        "Volumes[].Name": _OF_ECS,
    },
    "AWS::Events::Archive": {
        "ArchiveName": Shape("events", "ArchiveName"),
        "Description": Shape("events", "ArchiveDescription"),
    },
    "AWS::Events::Rule": {
        "Name": Shape("events", "RuleName"),
        "Description": Shape("events", "RuleDescription"),
        "Targets[].Id": Shape("events", "TargetId"),
    },
    "AWS::IAM::ManagedPolicy": {
        "ManagedPolicyName": Shape("iam", "policyNameType"),
        "Description": Shape("iam", "policyDescriptionType"),
        "PolicyDocument.Statement[].Sid": _SID,
    },
    "AWS::IAM::Policy": {
        "PolicyName": Shape("iam", "policyNameType"),
        "PolicyDocument.Statement[].Sid": _SID,
    },
    "AWS::IAM::Role": {
        "RoleName": Shape("iam", "roleNameType"),
        "Description": Shape("iam", "roleDescriptionType"),
        "Policies[].PolicyName": Shape("iam", "policyNameType"),
        "Policies[].PolicyDocument.Statement[].Sid": _SID,
        "AssumeRolePolicyDocument.Statement[].Sid": _SID,
    },
    "AWS::IAM::RolePolicy": {
        # CloudFormation creates a valid name for the role.
        "RoleName": Text(r"[\w+=,.@-]+", 128),
        "PolicyName": Shape("iam", "policyNameType"),
        "PolicyDocument.Statement[].Sid": _SID,
    },
    "AWS::KMS::Key": {
        "Description": Shape("kms", "DescriptionType"),
        "KeyPolicy.Statement[].Sid": _SID,
    },
    "AWS::Lambda::EventInvokeConfig": {"FunctionName": Text(r"[A-Za-z0-9_-]+", 64)},
    "AWS::Lambda::EventSourceMapping": {"FunctionName": Text(r"[A-Za-z0-9_-]+", 64)},
    "AWS::Lambda::Function": {
        # The model's pattern is that of an ARN; a name alone has 64 characters (`CreateFunction`).
        "FunctionName": Text(r"[A-Za-z0-9_-]+", 64),
        "Description": Shape("lambda", "Description"),
    },
    "AWS::Lambda::Permission": {"FunctionName": Text(r"[A-Za-z0-9_-]+", 64)},
    "AWS::Logs::LogGroup": {"LogGroupName": Shape("logs", "LogGroupName")},
    # "General purpose bucket naming rules", S3 user guide.
    "AWS::S3::Bucket": {
        "BucketName": Text(
            r"(?!xn--|sthree-)(?!.*\.\.)[a-z0-9][a-z0-9.-]+(?<!-s3alias)[a-z0-9]", 63
        ),
        "LifecycleConfiguration.Rules[].Id": Text(r".*", 255),
    },
    "AWS::S3::BucketPolicy": {"PolicyDocument.Statement[].Sid": _SID},
    # `CreateTopic`, SNS API reference.
    "AWS::SNS::Topic": {
        "TopicName": Text(r"[A-Za-z0-9_-]+", 256),
        "DisplayName": Text(r"[^\n\r]*", 100),
    },
    "AWS::SNS::TopicPolicy": {"PolicyDocument.Statement[].Sid": _SID},
    # `CreateQueue`, SQS API reference.
    "AWS::SQS::Queue": {"QueueName": Text(r"[A-Za-z0-9_-]+", 80)},
    "AWS::SQS::QueuePolicy": {"PolicyDocument.Statement[].Sid": _SID},
    # `PutParameter`, Systems Manager API reference.
    "AWS::SSM::Parameter": {
        "Name": Text(r"(?!/?(?i:aws|ssm))(/?[A-Za-z0-9_.-]+)+", 1011),
        "Description": Shape("ssm", "ParameterDescription"),
    },
    # `CreateSecret`, Secrets Manager API reference; a hyphen and six characters would be its ARN's end.
    "AWS::SecretsManager::Secret": {
        "Name": Text(r"(?!.*-[A-Za-z0-9]{6}$)[A-Za-z0-9/_+=.@-]+", 512),
        "Description": Shape("secretsmanager", "DescriptionType"),
    },
}
# "Parameters", "Outputs" and "Template description", CloudFormation user guide.
OF_PARAMETERS = Text(r".*", 4000)
OF_TEMPLATE = Text(r".*", 1024)
_NAMED = re.compile(r"(^|\.)(\w*(Name|Description)|Sid|Family|(Targets|Rules|Metrics)\[\]\.Id)$")


def texts_of(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """List path and text of each name and description in the properties of a resource."""
    for path, text in _strings(properties, ""):
        if _NAMED.search(path):
            yield path, text


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, f"{path}[]")
    elif isinstance(value, str):
        yield path, value

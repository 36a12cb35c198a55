"""The stack as CloudFormation gets it: translated from SAM, resolved for given parameters."""

import functools
import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest.mock import patch

from samtranslator.translator import translator  # type: ignore[import-untyped] # no type information
from samtranslator.translator.transform import (  # type: ignore[import-untyped] # no type information
    transform,
)

from sandbox.stack.intrinsics import Resolver, checked_parameters
from sandbox.stack.names import AwsAccount
from sandbox.stack.template import read_template

Template = dict[str, Any]

CHINA = AwsAccount(
    region="cn-north-1",
    partition="aws-cn",
    url_suffix="amazonaws.com.cn",
    sqs="https://sqs.cn-north-1.amazonaws.com.cn",
)
GOVCLOUD = AwsAccount(
    region="us-gov-west-1",
    partition="aws-us-gov",
    sqs="https://sqs.us-gov-west-1.amazonaws.com",
)

MADE: dict[str, str] = {
    "PrefectApiUrl": "https://prefect.example.org/api",
    "AlertEmail": "watch@example.org",
    "TaskImageDigest": "sha256:" + "a" * 64,
    "WorkerImageDigest": "sha256:" + "b" * 64,
}
_KEY = "arn:aws:kms:us-east-1:123456789012:key"
EXISTING: dict[str, str] = MADE | {
    "PrefectApiUrl": "https://prefect.example.org:4200/api",
    "PrefectApiPort": "4200",
    "PrefectAuth": "auth_string",
    "PrefectSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:prefect-AbCdEf",
    "InboxBucketName": "survey-raw",
    "OutputBucketName": "survey-converted",
    "OutputPrefix": "echodrop/v1/",
    "ArchiveBucketArns": "arn:aws:s3:::survey-archive,arn:aws:s3:::cruises-2007",
    "InboxKeyArn": f"{_KEY}/11111111-2222-3333-4444-555555555555",
    "OutputKeyArn": f"{_KEY}/22222222-3333-4444-5555-666666666666",
    "ArchiveKeyArns": f"{_KEY}/mrk-33333333,arn:aws:kms:us-west-2:123456789012:key/mrk-44444444",
    "RulesParameterName": "/survey/rules",
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "TriggerInVpc": "yes",
    "MonthlyBudgetUsd": "500",
    "PermissionsBoundary": "arn:aws:iam::123456789012:policy/agency/boundary",
    "BadFilesPage": "yes",
    "QuietInbox": "HB0710/=6",
}
OPEN_SERVER: dict[str, str] = MADE | {
    "PrefectApiUrl": "http://prefect.internal:4200/api",
    "PrefectApiPort": "4200",
    "PrefectAuth": "none",
    "MonthlyBudgetUsd": "0",
    "ArchiveBucketArns": "arn:aws:s3:::survey-archive",
}
# A service account of Prefect Cloud for each role.
OWN_CREDENTIALS: dict[str, str] = MADE | {
    f"{role}SecretArn": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{role}-AbCdEf"
    for role in ("Trigger", "Worker", "Watchdog", "Task")
}
VARIANTS = {
    "all made": MADE,
    "all existing": EXISTING,
    "server without auth": OPEN_SERVER,
    "a credential each": OWN_CREDENTIALS,
}
# The longest stack name that docs/deploy.md allows: it is part of a bucket's name.
LONGEST_NAME = "survey-of-the-west-" + "x" * 21


def _in_partition(account: AwsAccount, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with ARNs of an account's partition and region."""
    own = f"arn:{account.partition}:"
    return {
        name: value.replace("arn:aws:", own).replace("us-east-1", account.region)
        for name, value in parameters.items()
    }


# The same stacks in other partitions, with their own ARNs and domains, and with another name.
ELSEWHERE: dict[str, tuple[dict[str, str], AwsAccount]] = {
    **{
        f"{name}, longest name": (given, AwsAccount(LONGEST_NAME))
        for name, given in VARIANTS.items()
    },
    **{
        f"{name}, in China": (_in_partition(CHINA, given), CHINA)
        for name, given in VARIANTS.items()
    },
    **{
        f"{name}, in GovCloud": (_in_partition(GOVCLOUD, given), GOVCLOUD)
        for name, given in VARIANTS.items()
    },
}


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Statement:
    """One policy statement with its owner; single values are made lists."""

    owner: str
    kind: str  # the type of the resource that carries the policy
    body: Mapping[str, Any]

    def listed(self, key: str) -> list[Any]:
        value = self.body.get(key, [])
        return list(value) if isinstance(value, list) else [value]

    @property
    def allows(self) -> bool:
        return bool(self.body["Effect"] == "Allow")


@dataclass(frozen=True)
class Translated:
    """A stack's resources, by logical id: type, properties and the other attributes, resolved."""

    source: Template
    template: Template
    resolver: Resolver
    resources: Mapping[str, Mapping[str, Any]]

    def of_type(self, *types: str) -> dict[str, Mapping[str, Any]]:
        """Return the properties of all resources of some types."""
        return {
            name: resource["Properties"]
            for name, resource in self.resources.items()
            if resource["Type"] in types
        }

    @property
    def account(self) -> AwsAccount:
        """The account and region of the stack."""
        return self.resolver.account

    def bucket_arn(self, bucket: str) -> str:
        """Return the ARN of a bucket by its name."""
        return self.account.arn("AWS::S3::Bucket", bucket)

    def arn(self, name: str) -> str:
        """Return the ARN of a resource by its logical id."""
        return str(self.resolver.resolve({"Fn::GetAtt": [name, "Arn"]}))

    def named(self, arn: str) -> str | None:
        """Return the logical id of the resource that has this ARN; None if the stack has none."""
        return self._by_arn.get(arn)

    def type_of(self, arn: str) -> str | None:
        """Return the type of the resource that has this ARN; None if the stack has none."""
        name = self.named(arn)
        return self.resources[name]["Type"] if name else None

    def properties_at(self, arn: str) -> Mapping[str, Any]:
        """Return the properties of the resource with this ARN; empty if the stack has none."""
        name = self.named(arn)
        return self.resources[name]["Properties"] if name else {}

    def name_of(self, logical_id: str) -> str:
        """Return the name of a resource in the account."""
        return self.resolver.name(logical_id)

    def arn_of_queue(self, url: str) -> str:
        """Return the ARN of a queue of the stack by its URL."""
        (name,) = (
            name
            for name in self.of_type("AWS::SQS::Queue")
            if self.resolver.resolve({"Ref": name}) == url
        )
        return self.arn(name)

    @cached_property
    def _by_arn(self) -> dict[str, str]:
        has_arn = ("Queue", "Topic", "Function", "Role", "Key", "Bucket", "Cluster", "Rule")
        return {
            self.arn(name): name
            for name, resource in self.resources.items()
            if resource["Type"].rpartition("::")[2] in has_arn
        }

    def statements(self) -> Iterator[Statement]:
        """Every statement of every policy in the stack."""
        for name, resource in self.resources.items():
            properties = resource["Properties"]
            documents = [
                properties.get("PolicyDocument"),
                properties.get("KeyPolicy"),
                properties.get("AssumeRolePolicyDocument"),
                *(policy["PolicyDocument"] for policy in properties.get("Policies", [])),
            ]
            # A policy of several roles belongs to each.
            prefix = f"{self.account.stack_name}-"
            owners = properties.get("Roles") or [properties.get("RoleName", name)]
            for owner in owners:
                for document in filter(None, documents):
                    for body in document["Statement"]:
                        yield Statement(str(owner).removeprefix(prefix), resource["Type"], body)


# `read_template` copies it with `deepcopy`, which takes more time than most tests of it.
_SOURCE = functools.cache(lambda: pickle.dumps(read_template()))

# For each translation SAM checked its own, constant policy templates again.
translator.make_policy_template_for_function_plugin = functools.cache(
    translator.make_policy_template_for_function_plugin
)


def source_template() -> Template:
    """Return the template as written; the caller may change it."""
    template: Template = pickle.loads(_SOURCE())  # noqa: S301 - written above
    return template


def translate(
    source: Template, parameters: Mapping[str, str], account: AwsAccount | None = None
) -> Translated:
    """Translate and resolve the template for an account and region."""
    account = account or AwsAccount()
    # Twice as fast as `deepcopy`, for a template of this size.
    given: Template = pickle.loads(pickle.dumps(source))  # noqa: S301 - written here
    values = checked_parameters(given, parameters)
    # As packaging does: the code is in a bucket.
    for function in ("Trigger", "Watchdog"):
        given["Resources"][function]["Properties"]["CodeUri"] = f"s3://packages/{function}.zip"
    rules = given.pop("Rules", {})
    with patch.dict(os.environ, AWS_DEFAULT_REGION=account.region):
        template: Template = transform(given, dict(values), _NoManagedPolicies())
    template["Rules"] = rules
    resolver = Resolver(template, values, account)
    resources = {
        name: {
            **{key: value for key, value in resource.items() if key != "Properties"},
            "Properties": resolver.resolve(resource.get("Properties", {})),
        }
        for name, resource in template["Resources"].items()
        if resolver.exists(name)
    }
    return Translated(source, template, resolver, resources)

"""The stack works in every partition: China and GovCloud have their own ARNs, domains and services."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.session import get_session

from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated

# Principals with the same name in every partition; CloudWatch Logs has one for each region. Source:
# `Default.servicePrincipal` of aws-cdk-lib's region-info.
UNIVERSAL = {
    f"{service}.amazonaws.com"
    for service in (
        *("budgets", "cloudwatch", "ecs-tasks", "events", "lambda", "lambda.alarms.cloudwatch"),
        *("s3", "scheduler", "sns"),
    )
}
# The name of an endpoint service has no domain, and S3's is the same in every partition ("Gateway
# endpoints for Amazon S3", VPC user guide).
S3_ENDPOINT = "com.amazonaws.${AWS::Region}.s3"
# By the middle part of a type: the service of its API, if they differ.
APIS = {"CloudWatch": "cloudwatch", "SecretsManager": "secretsmanager"}


@invariant
def nothing_is_written_for_one_partition(stack: Translated) -> Iterator[str]:
    for section in ("Resources", "Outputs"):
        for path, text in _strings(stack.source[section], section):
            if "arn:aws" in text:
                yield f"{path}: an ARN of one partition, {text!r}"
            if "amazonaws" in text and text not in {*UNIVERSAL, S3_ENDPOINT}:
                yield f"{path}: a domain of one partition, {text!r}"


@invariant
def every_arn_is_of_the_stack_s_partition(stack: Translated) -> Iterator[str]:
    for name, resource in stack.resources.items():
        for path, text in _strings(resource["Properties"], name):
            for partition in re.findall(r"\barn:([a-z-]*):", text):
                if partition != stack.account.partition:
                    yield f"{path}: {text}"


@invariant
def every_service_exists_in_the_partition(stack: Translated) -> Iterator[str]:
    for name, resource in stack.resources.items():
        service = resource["Type"].split("::")[1]
        api = APIS.get(service, service.lower())
        if not _is_offered(api, stack.account.partition):
            yield f"{name}: {stack.account.partition} has no {service}"


@invariant
def every_role_has_the_given_boundary(stack: Translated) -> Iterator[str]:
    boundary = stack.resolver.resolve({"Ref": "PermissionsBoundary"}) or None
    for name, role in stack.of_type("AWS::IAM::Role").items():
        if role.get("PermissionsBoundary") != boundary:
            yield f"{name} has the boundary {role.get('PermissionsBoundary')}, not {boundary}"


@cache
def _is_offered(api: str, partition: str) -> bool:
    """Return whether botocore has an endpoint of the service in a partition."""
    regions = get_session().get_available_regions(api, partition, allow_non_regional=True)
    return bool(regions)


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{path}.{index}")
    elif isinstance(value, str):
        yield path, value

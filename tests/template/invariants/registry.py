"""The list that every invariant puts itself into, and what several of them ask."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.template.stacks import Translated

ROOT = Path(__file__).resolve().parents[3]
# Policies that grant nothing and bound what others grant; invariants/bounds.py looks at them.
BOUNDS = {"AWS::EC2::VPCEndpoint"}
# What IAM offers no resource for.
WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition"}
# Likewise, but a condition bounds it: action, test and key.
WITHOUT_RESOURCE_BUT_WITH_CONDITION = (
    ("ecs:ListTasks", "ArnEquals", "ecs:cluster"),
    ("cloudwatch:PutMetricData", "StringEquals", "cloudwatch:namespace"),
)

Invariant = Callable[[Translated], Iterator[str]]
INVARIANTS: dict[str, Invariant] = {}


def invariant(check: Invariant) -> Invariant:
    """Register a check. It lists what breaks it; an empty list is good."""
    INVARIANTS[check.__name__] = check
    return check


def is_bounded(statement: Mapping[str, Any]) -> bool:
    """Whether a condition bounds what IAM knows no resource for."""
    actions = set(listed(statement["Action"]))
    condition = statement.get("Condition", {})
    return any(
        actions == {action} and key in condition.get(test, {})
        for action, test, key in WITHOUT_RESOURCE_BUT_WITH_CONDITION
    )


def dead_letters(stack: Translated) -> set[str]:
    """Return the ARNs of the queues that are some queue's dead letters."""
    return {
        queue["RedrivePolicy"]["deadLetterTargetArn"]
        for queue in stack.of_type("AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue
    }


def archives(stack: Translated) -> list[str]:
    """Return the ARNs of the archives' buckets."""
    return [arn for arn in stack.resolver.resolve({"Ref": "ArchiveBucketArns"}).split(",") if arn]


def data_keys(stack: Translated) -> set[str]:
    """Return the ARNs of the keys under which the buckets lie."""
    given = (
        stack.resolver.resolve({"Ref": name})
        for name in ("InboxKeyArn", "OutputKeyArn", "ArchiveKeyArns")
    )
    return {arn for arns in given for arn in arns.split(",") if arn}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

"""The list in which every invariant is registered, and helpers for several of them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.template.stacks import Translated

ROOT = Path(__file__).resolve().parents[3]
# Policies that grant nothing and limit what others grant; invariants/bounds.py checks them.
BOUNDS = {"AWS::EC2::VPCEndpoint"}
# Actions for which IAM has no resource.
WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition"}
# The same, but a condition limits them: action, operator and key.
WITHOUT_RESOURCE_BUT_WITH_CONDITION = (
    ("ecs:ListTasks", "ArnEquals", "ecs:cluster"),
    ("cloudwatch:PutMetricData", "StringEquals", "cloudwatch:namespace"),
)

Invariant = Callable[[Translated], Iterator[str]]
INVARIANTS: dict[str, Invariant] = {}


def invariant(check: Invariant) -> Invariant:
    """Register a check. It yields its violations; none means success."""
    INVARIANTS[check.__name__] = check
    return check


def is_bounded(statement: Mapping[str, Any]) -> bool:
    """Return whether a condition limits an action for which IAM has no resource."""
    actions = set(listed(statement["Action"]))
    condition = statement.get("Condition", {})
    return any(
        actions == {action} and key in condition.get(test, {})
        for action, test, key in WITHOUT_RESOURCE_BUT_WITH_CONDITION
    )


def dead_letters(stack: Translated) -> set[str]:
    """Return the ARNs of the dead-letter queues."""
    return {
        queue["RedrivePolicy"]["deadLetterTargetArn"]
        for queue in stack.of_type("AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue
    }


def archives(stack: Translated) -> list[str]:
    """Return the ARNs of the archives' buckets."""
    return [arn for arn in stack.resolver.resolve({"Ref": "ArchiveBucketArns"}).split(",") if arn]


def data_keys(stack: Translated) -> set[str]:
    """Return the ARNs of the keys that encrypt the buckets."""
    given = (
        stack.resolver.resolve({"Ref": name})
        for name in ("InboxKeyArn", "OutputKeyArn", "ArchiveKeyArns")
    )
    return {arn for arns in given for arn in arns.split(",") if arn}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

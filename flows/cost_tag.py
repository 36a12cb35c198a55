"""Whether the tag that the budget counts by is activated for cost allocation.

A budget that filters by a tag sees nothing until the tag is activated, and never
rings. Cost Explorer says so to the account that pays alone.

Source: "ListCostAllocationTags", AWS Cost Explorer API reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flows.stack_finding import Finding

TAG = "application"
_ACTIVATE = (
    "aws ce update-cost-allocation-tags-status "
    f"--cost-allocation-tags-status TagKey={TAG},Status=Active"
)


def check_cost_tag(client: Callable[[str], Any], budget: str) -> Finding:
    """Look the tag up.

    Args:
        client: returns a boto3 client of the service named.
        budget: name of the stack's budget.

    Returns:
        A problem where the tag is there and not active; a note where Cost Explorer
        does not know it yet, or does not answer this account.
    """
    subject = f"cost allocation tag {TAG}, which budget {budget} counts by"
    try:
        found = client("ce").list_cost_allocation_tags(TagKeys=[TAG], Type="UserDefined")
    except (ClientError, BotoCoreError) as error:
        note = f"not looked up ({error}). In an organization the management account has to activate it:"
        return Finding(subject, note=note, mend=_ACTIVATE)
    tags = {tag["TagKey"]: tag["Status"] for tag in found["CostAllocationTags"]}
    if tags.get(TAG) == "Active":
        return Finding(subject)
    if TAG in tags:
        problem = "is not active, so the budget and the brake see no cost"
        return Finding(subject, problem, _ACTIVATE)
    note = "Cost Explorer does not know it yet, which it does a day after its first use. Then:"
    return Finding(subject, note=note, mend=_ACTIVATE)

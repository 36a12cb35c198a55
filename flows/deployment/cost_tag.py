"""Checks whether the budget's tag is activated for cost allocation.

A budget that filters by a tag counts nothing, and sends no alert, until the tag is
activated. Only the paying account can read that from Cost Explorer.

Source: "ListCostAllocationTags", AWS Cost Explorer API reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flows.deployment.stack_finding import Finding

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
        A problem if the tag exists and is not active; a note if Cost Explorer does not
        know it yet, or does not answer this account.
    """
    subject = f"cost allocation tag {TAG}of budget {budget}"
    try:
        found = client("ce").list_cost_allocation_tags(TagKeys=[TAG], Type="UserDefined")
    except (ClientError, BotoCoreError) as error:
        note = f"not checked ({error}). In an organization the management account must activate it:"
        return Finding(subject, note=note, fix=_ACTIVATE)
    tags = {tag["TagKey"]: tag["Status"] for tag in found["CostAllocationTags"]}
    if tags.get(TAG) == "Active":
        return Finding(subject)
    if TAG in tags:
        problem = "is not active, so the budget and the brake count no cost"
        return Finding(subject, problem, _ACTIVATE)
    note = "Cost Explorer lists it a day after its first use. Then run:"
    return Finding(subject, note=note, fix=_ACTIVATE)

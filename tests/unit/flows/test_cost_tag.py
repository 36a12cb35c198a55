"""The check of the budget's tag, by the response of Cost Explorer."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from flows.deployment.account_checks import check_cost_tag
from flows.deployment.stack_finding import Finding

ASKED = {"TagKeys": ["application"], "Type": "UserDefined"}


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Stubber]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client: Any = boto3.client("ce", region_name="us-east-1")
    stubber = Stubber(client)
    stubber.activate()
    return client, stubber


def looked(client: Any) -> Finding:
    return check_cost_tag({"ce": client}.__getitem__, "echodrop-us-east-1")


@pytest.mark.parametrize(
    ("status", "problem"),
    [("Active", None), ("Inactive", "is not active, so the budget and the brake count no cost")],
)
def test_an_existing_tag(explorer: tuple[Any, Stubber], status: str, problem: str | None) -> None:
    client, stubber = explorer
    tag = {"TagKey": "application", "Type": "UserDefined", "Status": status}
    stubber.add_response("list_cost_allocation_tags", {"CostAllocationTags": [tag]}, ASKED)
    found = looked(client)
    assert (found.problem, found.note) == (problem, None)
    assert bool(found.fix) == (problem is not None)


def test_a_tag_that_is_not_listed_yet_is_not_a_problem(
    explorer: tuple[Any, Stubber],
) -> None:
    client, stubber = explorer
    stubber.add_response("list_cost_allocation_tags", {"CostAllocationTags": []}, ASKED)
    found = looked(client)
    assert found.problem is None
    assert found.note is not None
    assert "a day after its first use" in found.note


def test_an_account_that_does_not_pay_gets_a_note(explorer: tuple[Any, Stubber]) -> None:
    client, stubber = explorer
    stubber.add_client_error("list_cost_allocation_tags", "AccessDeniedException")
    found = looked(client)
    assert found.problem is None
    assert found.note is not None
    assert "management account" in found.note
    assert found.fix == (
        "aws ce update-cost-allocation-tags-status "
        "--cost-allocation-tags-status TagKey=application,Status=Active"
    )

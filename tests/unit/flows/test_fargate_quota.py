"""Whether lanes fit a quota of Fargate vCPU, and how the quota is read."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from flows.deployment.account_checks import (
    QUOTA_CODE,
    SERVICE_CODE,
    SMALLEST_QUOTA,
    LaneLimits,
    check_quota,
    quota_finding,
)

OUTPUTS = {
    "LiveConcurrency": "4",
    "BackfillConcurrency": "1",
    "ConversionConcurrency": "0",
    "ClusterName": "echodrop",
    "WorkerServiceName": "echodrop-worker",
}
ASKED = {"ServiceCode": SERVICE_CODE, "QuotaCode": QUOTA_CODE}


@pytest.mark.parametrize(
    ("lanes", "vcpu"),
    [
        (LaneLimits(4, 1), 6),
        (LaneLimits(100, 20), 121),
        (LaneLimits(4, 1, workers=2), 7),
        # The limits of the two deployments, and one each of the two reconciliations.
        (LaneLimits(100, 20, deployment_limit=2), 7),
        (LaneLimits(1, 1, deployment_limit=50), 3),
    ],
)
def test_what_lanes_full_of_the_smallest_size_take(lanes: LaneLimits, vcpu: float) -> None:
    assert lanes.vcpu() == vcpu
    assert lanes.room(vcpu) == lanes.runs


def test_the_old_defaults_do_not_fit_a_new_account() -> None:
    found = quota_finding(SMALLEST_QUOTA, LaneLimits(100, 20))
    assert found.problem is not None
    assert "need 121" in found.problem
    assert "5 conversions fit" in found.problem
    assert found.fix == (
        "aws service-quotas request-service-quota-increase --service-code fargate "
        "--quota-code L-3032A538 --desired-value 121"
    )


def test_the_quota_of_a_new_account_fits_the_defaults_and_one_large_task() -> None:
    found = quota_finding(SMALLEST_QUOTA, LaneLimits(4, 1))
    assert found.problem is None
    assert found.note is not None
    assert "1 of the large size (4 vCPU) fit at a time" in found.note
    assert "is not converted" not in found.note
    # Two workers, four tasks of the standard size, one large task.
    assert found.fix is not None
    assert found.fix.endswith("--desired-value 9")


def test_a_quota_without_room_for_a_large_task_is_noted() -> None:
    found = quota_finding(4, LaneLimits(2, 1))
    assert found.problem is None
    assert (
        "0 of the large size (4 vCPU) fit at a time; a file that needs this size is not converted"
        in (found.note or "")
    )


def test_a_quota_for_all_sizes_has_no_note() -> None:
    found = quota_finding(21, LaneLimits(4, 1))
    assert (found.problem, found.note) == (None, None)
    assert quota_finding(20.5, LaneLimits(4, 1)).note is not None


def test_no_quota_at_all_has_no_room() -> None:
    assert LaneLimits(4, 1).room(0.5) == 0


class Clients:
    """Real clients with stubbed responses, checked by the service models."""

    def __init__(self) -> None:
        self.quotas: Any = boto3.client("service-quotas", region_name="us-east-1")
        self.ecs: Any = boto3.client("ecs", region_name="us-east-1")
        self.stubbed = Stubber(self.quotas)
        self.stubbed.activate()
        services = Stubber(self.ecs)
        services.add_response("describe_services", {"services": [{"desiredCount": 1}]})
        services.activate()

    def __call__(self, service: str) -> Any:
        return {"service-quotas": self.quotas, "ecs": self.ecs}[service]


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return Clients()


def test_the_account_s_own_quota_is_read(clients: Clients) -> None:
    clients.stubbed.add_response("get_service_quota", {"Quota": {"Value": 4000.0}}, ASKED)
    assert check_quota(clients, OUTPUTS).subject.startswith("Fargate quota of 4000 vCPU")


def test_the_default_is_read_if_the_account_has_no_value(clients: Clients) -> None:
    clients.stubbed.add_client_error("get_service_quota", "NoSuchResourceException")
    default = {"Quota": {"Value": 6.0}}
    clients.stubbed.add_response("get_aws_default_service_quota", default, ASKED)
    found = check_quota(clients, OUTPUTS | {"LiveConcurrency": "100"})
    assert found.problem is not None
    assert "need 102" in found.problem


def test_the_note_has_the_needed_quota_if_it_cannot_be_read(clients: Clients) -> None:
    clients.stubbed.add_client_error("get_service_quota", "AccessDeniedException")
    found = check_quota(clients, OUTPUTS)
    assert found.problem is None
    assert found.note is not None
    assert "AccessDenied" in found.note
    assert "must be 6 vCPU or more" in found.note
    assert found.fix is not None
    assert found.fix.startswith("aws service-quotas get-service-quota --service-code fargate")

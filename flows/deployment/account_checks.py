"""Checks of the account: the quota of Fargate vCPU, the brake, and the budget's tag.

ECS refuses a task beyond the quota. The worker retries for some minutes, and then the
run crashes. So lanes with more tasks than the quota make runs crash. A budget that filters
by a tag counts nothing, and sends no alert, until the tag is activated.

Sources: "Amazon ECS endpoints and quotas", AWS General Reference: *Fargate On-Demand
vCPU resource count* is 6 in each region and adjustable; it counts everything that the
account runs on Fargate in the region. "ListCostAllocationTags", AWS Cost Explorer API
reference: only the paying account can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from flows.deployment.stack_finding import Finding
from flows.deployment.stack_images import worker_services
from task_sizes import LARGE, STANDARD, TaskSize

COST_TAG = "application"
_ACTIVATE = (
    "aws ce update-cost-allocation-tags-status "
    f"--cost-allocation-tags-status TagKey={COST_TAG},Status=Active"
)

SERVICE_CODE = "fargate"
QUOTA_CODE = "L-3032A538"
# The smallest value that AWS documents; new accounts have it.
SMALLEST_QUOTA = 6
# CPU units of a worker; during a deployment there are two workers.
WORKER_CPU = 512
WORKERS_WHILE_REPLACED = 2
# Of convert-raw-sonar and convert-raw-sonar-batch, each with the limit ConversionConcurrency.
_CONVERTING_DEPLOYMENTS = 2
# reconcile-inbox/ecs and reconcile-inbox/whole run one at a time each.
_LOOKS = 2
_ONE_VCPU = 1024


# Runs an hour of one slot of a lane, at most: a task needs 45 s to start Python and 5 s for Prefect
# (docs/sizes-and-costs.md), and then the conversion takes time.
RUNS_AN_HOUR_OF_A_SLOT = 3600 // 50


@dataclass(frozen=True)
class LaneLimits:
    """The number of tasks that a stack may run at a time.

    Attributes:
        live: runs of the live lane, with the reconciliations.
        deployment_limit: runs of each deployment; 0 for no limit.
    """

    live: int
    backfill: int
    deployment_limit: int = 0
    workers: int = 1

    @classmethod
    def of(cls, outputs: Mapping[str, str], workers: int = 1) -> Self:
        """The limits in a stack's outputs."""
        names = ("LiveConcurrency", "BackfillConcurrency", "ConversionConcurrency")
        live, backfill, limit = (int(outputs[name]) for name in names)
        return cls(live, backfill, limit, workers)

    @property
    def runs(self) -> int:
        """Runs at a time."""
        both = self.live + self.backfill
        if not self.deployment_limit:
            return both
        return min(both, _CONVERTING_DEPLOYMENTS * self.deployment_limit + _LOOKS)

    @property
    def worker_vcpu(self) -> float:
        """The vCPU of the workers during a deployment."""
        return self.workers * WORKERS_WHILE_REPLACED * WORKER_CPU / _ONE_VCPU

    def vcpu(self, size: TaskSize = STANDARD) -> float:
        """The vCPU of full lanes with tasks of one size, and of the workers."""
        return self.worker_vcpu + self.runs * size.cpu / _ONE_VCPU

    def room(self, quota: float, size: TaskSize = STANDARD) -> int:
        """How many tasks of one size fit a quota together with the workers."""
        return max(0, int((quota - self.worker_vcpu) * _ONE_VCPU // size.cpu))


def quota_finding(quota: float, lanes: LaneLimits) -> Finding:
    """Compare a quota in vCPU with the lanes.

    It is a problem if not even tasks of the standard size fit, which most files need,
    and a note if not as many large tasks fit.
    """
    counts = f"{lanes.live} live and {lanes.backfill} backfill"
    subject = f"Fargate quota of {quota:g} vCPU for {counts} conversions"
    if lanes.vcpu() > quota:
        problem = (
            f"with the worker they need {lanes.vcpu():g}, at {STANDARD.cpu / _ONE_VCPU:g} each, and "
            f"{lanes.room(quota)} conversions fit; more runs crash. Lower LiveConcurrency "
            "and BackfillConcurrency to that sum, or increase the quota:"
        )
        return Finding(subject, problem, quota_increase(lanes.vcpu()))
    if lanes.vcpu(LARGE) <= quota:
        return Finding(subject)
    fit = min(lanes.room(quota, LARGE), lanes.runs)
    note = f"{fit} of the large size ({LARGE.cpu // _ONE_VCPU} vCPU) fit at a time"
    if not fit:
        note += "; a file that needs this size is not converted"
    one_large = lanes.vcpu() + (LARGE.cpu - STANDARD.cpu) / _ONE_VCPU
    return Finding(subject, note=f"{note}. For one more:", fix=quota_increase(one_large))


def check_quota(client: Callable[[str], Any], outputs: Mapping[str, str]) -> Finding:
    """Read the quota and check whether the stack's lanes fit."""
    try:
        services = worker_services(client("ecs"), outputs)
    except ClientError:
        services = []
    lanes = LaneLimits.of(outputs, max([1, *(int(each["desiredCount"]) for each in services)]))
    try:
        quota = _read(client("service-quotas"))
    except (ClientError, BotoCoreError) as error:
        return Finding(
            "Fargate quota",
            note=f"not read ({error}). It must be {lanes.vcpu():g} vCPU or more; read it with:",
            fix=f"aws service-quotas get-service-quota {_QUOTA} --query Quota.Value",
        )
    return quota_finding(quota, lanes)


_QUOTA = f"--service-code {SERVICE_CODE} --quota-code {QUOTA_CODE}"


def quota_increase(vcpu: float) -> str:
    """The command that requests a higher quota from AWS."""
    return (
        f"aws service-quotas request-service-quota-increase {_QUOTA} --desired-value {ceil(vcpu)}"
    )


def _read(quotas: Any) -> float:  # noqa: ANN401 - boto3's client
    try:
        found = quotas.get_service_quota(ServiceCode=SERVICE_CODE, QuotaCode=QUOTA_CODE)
    except ClientError as error:
        # An account that never changed a quota may have no applied value.
        if error.response.get("Error", {}).get("Code") != "NoSuchResourceException":
            raise
        found = quotas.get_aws_default_service_quota(ServiceCode=SERVICE_CODE, QuotaCode=QUOTA_CODE)
    return float(found["Quota"]["Value"])


def check_brake(outputs: Mapping[str, str]) -> Finding:
    """A note if lanes full of small files start more runs than the brake allows."""
    limit = int(outputs["BrakeRunsAnHour"])
    most = LaneLimits.of(outputs).runs * RUNS_AN_HOUR_OF_A_SLOT
    if not limit:
        return Finding("brake by runs an hour", note="switched off (BrakeRunsAnHour=0)")
    subject = f"brake at {limit} runs an hour"
    if most <= limit:
        return Finding(subject)
    note = (
        f"full lanes start up to {most}, which pauses the pool. For a backfill that "
        "large, deploy with"
    )
    return Finding(subject, note=note, fix=f"BrakeRunsAnHour={most}")


def check_cost_tag(client: Callable[[str], Any], budget: str) -> Finding:
    """Look the tag up.

    Returns:
        A problem if the tag exists and is not active; a note if Cost Explorer does not
        know it yet, or does not answer this account.
    """
    subject = f"cost allocation tag {COST_TAG}of budget {budget}"
    try:
        found = client("ce").list_cost_allocation_tags(TagKeys=[COST_TAG], Type="UserDefined")
    except (ClientError, BotoCoreError) as error:
        note = f"not checked ({error}). In an organization the management account must activate it:"
        return Finding(subject, note=note, fix=_ACTIVATE)
    tags = {tag["TagKey"]: tag["Status"] for tag in found["CostAllocationTags"]}
    if tags.get(COST_TAG) == "Active":
        return Finding(subject)
    if COST_TAG in tags:
        problem = "is not active, so the budget and the brake count no cost"
        return Finding(subject, problem, _ACTIVATE)
    note = "Cost Explorer lists it a day after its first use. Then run:"
    return Finding(subject, note=note, fix=_ACTIVATE)

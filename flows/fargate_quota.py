"""Whether a stack's conversions fit the account's quota of Fargate vCPU.

ECS refuses a task beyond the quota. The worker asks again for some minutes,
then the run crashes, so lanes that are wider than the quota crash runs.

Sources: "Amazon ECS endpoints and quotas", AWS General Reference: *Fargate
On-Demand vCPU resource count* is 6 in each region and adjustable; it counts
whatever the account runs on Fargate in the region.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flows.stack_finding import Finding
from task_sizes import LARGE, STANDARD, TaskSize

SERVICE_CODE = "fargate"
QUOTA_CODE = "L-3032A538"
# The least that AWS documents, which is what a new account has.
SMALLEST_QUOTA = 6
# CPU units of a worker; while a deployment replaces one there are two.
WORKER_CPU = 512
WORKERS_WHILE_REPLACED = 2
# Of convert-raw-sonar and convert-raw-sonar-batch, each with the limit ConversionConcurrency.
_CONVERTING_DEPLOYMENTS = 2
# reconcile-inbox/ecs and reconcile-inbox/whole run one at a time each.
_LOOKS = 2
_ONE_VCPU = 1024


@dataclass(frozen=True)
class Lanes:
    """How many tasks a stack may have at a time.

    Attributes:
        live: runs of the live lane; the reconciliations are among them.
        backfill: runs of the backfill lane.
        deployment_limit: runs of each deployment; 0 for no limit.
        workers: how many the service wants.
    """

    live: int
    backfill: int
    deployment_limit: int = 0
    workers: int = 1

    @property
    def runs(self) -> int:
        """Runs at a time."""
        both = self.live + self.backfill
        if not self.deployment_limit:
            return both
        return min(both, _CONVERTING_DEPLOYMENTS * self.deployment_limit + _LOOKS)

    @property
    def worker_vcpu(self) -> float:
        """What workers take while a deployment replaces them."""
        return self.workers * WORKERS_WHILE_REPLACED * WORKER_CPU / _ONE_VCPU

    def vcpu(self, size: TaskSize = STANDARD) -> float:
        """What all lanes full of tasks of one size take, workers included."""
        return self.worker_vcpu + self.runs * size.cpu / _ONE_VCPU

    def room(self, quota: float, size: TaskSize = STANDARD) -> int:
        """How many tasks of one size fit a quota beside the workers."""
        return max(0, int((quota - self.worker_vcpu) * _ONE_VCPU // size.cpu))


def quota_finding(quota: float, lanes: Lanes) -> Finding:
    """What there is to say of a quota in vCPU.

    A problem where not even tasks of the standard size fit, which most files take;
    a note where as many large ones do not.
    """
    told = f"{lanes.live} live and {lanes.backfill} backfill"
    subject = f"Fargate quota of {quota:g} vCPU for {told} conversions"
    if lanes.vcpu() > quota:
        problem = (
            f"with the worker they need {lanes.vcpu():g}, at {STANDARD.cpu / _ONE_VCPU:g} each, and "
            f"{lanes.room(quota)} conversions fit; runs beyond that crash. Lower LiveConcurrency "
            "and BackfillConcurrency to that sum, or raise the quota:"
        )
        return Finding(subject, problem, raise_to(lanes.vcpu()))
    if lanes.vcpu(LARGE) <= quota:
        return Finding(subject)
    fit = min(lanes.room(quota, LARGE), lanes.runs)
    note = f"{fit} of the large size ({LARGE.cpu // _ONE_VCPU} vCPU) fit at a time"
    if not fit:
        note += "; a file that needs it is not converted"
    one_large = lanes.vcpu() + (LARGE.cpu - STANDARD.cpu) / _ONE_VCPU
    return Finding(subject, note=f"{note}. For one beside standard ones:", mend=raise_to(one_large))


def check_quota(client: Callable[[str], Any], outputs: Mapping[str, str]) -> Finding:
    """Read the quota and say whether the stack's lanes fit.

    Args:
        client: returns a boto3 client of the service named.
        outputs: the stack's.
    """
    lanes = Lanes(
        int(outputs["LiveConcurrency"]),
        int(outputs["BackfillConcurrency"]),
        int(outputs["ConversionConcurrency"]),
        _workers(client("ecs"), outputs),
    )
    try:
        quota = _read(client("service-quotas"))
    except (ClientError, BotoCoreError) as error:
        return Finding(
            "Fargate quota",
            note=f"not read ({error}). It has to be {lanes.vcpu():g} vCPU or more; look it up:",
            mend=f"aws service-quotas get-service-quota {_QUOTA} --query Quota.Value",
        )
    return quota_finding(quota, lanes)


_QUOTA = f"--service-code {SERVICE_CODE} --quota-code {QUOTA_CODE}"


def raise_to(vcpu: float) -> str:
    """The command that asks AWS for a higher quota."""
    return (
        f"aws service-quotas request-service-quota-increase {_QUOTA} --desired-value {ceil(vcpu)}"
    )


def _read(quotas: Any) -> float:  # noqa: ANN401 - boto3's client
    try:
        found = quotas.get_service_quota(ServiceCode=SERVICE_CODE, QuotaCode=QUOTA_CODE)
    except ClientError as error:
        # An account that never changed a quota may have no value of its own.
        if error.response.get("Error", {}).get("Code") != "NoSuchResourceException":
            raise
        found = quotas.get_aws_default_service_quota(ServiceCode=SERVICE_CODE, QuotaCode=QUOTA_CODE)
    return float(found["Quota"]["Value"])


def _workers(ecs: Any, outputs: Mapping[str, str]) -> int:  # noqa: ANN401 - boto3's client
    """How many workers the service wants; one where it cannot be read or wants none yet."""
    try:
        services = ecs.describe_services(
            cluster=outputs["ClusterName"], services=[outputs["WorkerServiceName"]]
        )["services"]
    except ClientError:
        return 1
    return max([1, *(int(service["desiredCount"]) for service in services)])

"""Checks whether a deployed stack and its Prefect server have everything that a conversion needs.

Each finding has the problem and the command that fixes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from typing import Any

import httpx
from botocore.exceptions import ClientError
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import WorkPool
from prefect.events.schemas.automations import Automation as RegisteredAutomation
from prefect.exceptions import ObjectNotFound

from flows.deployment.automations import Automation
from flows.deployment.cost_tag import check_cost_tag
from flows.deployment.deployment_specs import DeploymentSpec, QueueSpec
from flows.deployment.fargate_quota import check_brake, check_quota
from flows.deployment.inbox_events import check_inbox
from flows.deployment.registered_automations import our_automations
from flows.deployment.registered_deployment import full_name
from flows.deployment.stack_finding import Finding

# A worker sends a heartbeat every 30 s.
HEARTBEAT = timedelta(seconds=90)


@dataclass(frozen=True)
class Wanted:
    """What must be registered with Prefect."""

    work_pool: str
    queues: Sequence[QueueSpec]
    deployments: Sequence[DeploymentSpec]
    automations: Sequence[Automation] = ()


def check_prefect(client: SyncPrefectClient, wanted: Wanted, stack: str) -> Iterator[Finding]:
    """Check the API, work pool, queues, deployments, automations and the last heartbeat."""
    register = f"echodrop deploy --stack {stack}"
    answer = check_api(client)
    yield answer
    if answer.problem is not None:
        return
    try:
        pool = client.read_work_pool(wanted.work_pool)
    except ObjectNotFound:
        yield Finding(f"work pool {wanted.work_pool}", "does not exist", register)
        return
    yield _pool(pool)
    for queue in wanted.queues:
        yield _queue(client, wanted.work_pool, queue.name, register)
    for deployment in wanted.deployments:
        yield _deployment(client, full_name(deployment), register)
    if wanted.automations:
        found = our_automations(client)
        for automation in wanted.automations:
            yield _automation(found.get(automation.name), automation.name, register)
    yield _worker(client, wanted.work_pool, stack)


def check_api(client: SyncPrefectClient) -> Finding:
    """Check that Prefect's API answers, with these credentials."""
    subject = f"Prefect's API at {client.api_url}"
    try:
        # Prefect Cloud has neither /admin/version nor /health; a server and Cloud both have this
        # one.
        pools = client.request("POST", "/work_pools/filter", json={"limit": 1})
        pools.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        return Finding(
            subject,
            str(error),
            "prefect cloud login, or prefect config set PREFECT_API_URL=… PREFECT_API_AUTH_STRING=…",
        )
    return Finding(subject)


def _pool(pool: WorkPool) -> Finding:
    subject = f"work pool {pool.name}"
    if pool.is_paused:
        return Finding(subject, "is paused, no run starts", f"prefect work-pool resume {pool.name}")
    return Finding(subject)


def _queue(client: SyncPrefectClient, pool: str, name: str, register: str) -> Finding:
    subject = f"work queue {name}"
    try:
        found = client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        return Finding(subject, "does not exist", register)
    if found.is_paused:
        resume = f"prefect work-queue resume {name} --pool {pool}"
        return Finding(subject, "is paused, so none of its runs starts", resume)
    return Finding(subject)


def _deployment(client: SyncPrefectClient, name: str, register: str) -> Finding:
    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        return Finding(f"deployment {name}", "does not exist", register)
    if found.paused:
        return Finding(f"deployment {name}", "is paused", f"prefect deployment resume {name}")
    ours = metadata.version("echodrop")
    if found.version != ours:
        problem = f"was registered by version {found.version}, this code is {ours}"
        return Finding(f"deployment {name}", problem, register)
    return Finding(f"deployment {name}")


def _automation(found: RegisteredAutomation | None, name: str, register: str) -> Finding:
    subject = f"automation '{name}'"
    if found is None:
        return Finding(subject, "does not exist", register)
    if not found.enabled:
        return Finding(subject, "is switched off", f"prefect automation resume '{name}'")
    return Finding(subject)


def last_heartbeats(client: SyncPrefectClient, pool: str) -> list[datetime]:
    """The time of the last heartbeat of each worker of the pool."""
    workers = client.request(
        "POST",
        "/work_pools/{work_pool_name}/workers/filter",
        path_params={"work_pool_name": pool},
        json={},
    ).json()
    return [
        datetime.fromisoformat(worker["last_heartbeat_time"])
        for worker in workers
        if worker["last_heartbeat_time"]
    ]


def _worker(client: SyncPrefectClient, pool: str, stack: str) -> Finding:
    beats = last_heartbeats(client, pool)
    log = f"aws logs tail /echodrop/{stack}/worker --since 1h"
    if not beats:
        return Finding("worker", f"no worker has ever polled {pool}", log)
    silent = datetime.now(UTC) - max(beats)
    if silent > HEARTBEAT:
        return Finding("worker", f"no heartbeat for {silent.total_seconds():.0f} s", log)
    return Finding("worker")


def check_aws(
    client: Callable[[str], Any],
    outputs: Mapping[str, str],
    stack: str,
    deployments: Sequence[DeploymentSpec],
) -> Iterator[Finding]:
    """Check the observer's queue, task definitions, worker service, inbox, quota and budget.

    Args:
        client: returns a boto3 client of the service named.
        outputs: outputs of the stack.
        stack: name of the stack.
        deployments: the deployments, which use the pool's task definition or their own.
    """
    deploy = f"sam build && sam deploy --stack-name {stack}"
    queue = outputs["ObserverQueue"]
    yield _check_exists(
        f"observer's queue {queue}: without it a killed run stays Running",
        lambda: client("sqs").get_queue_url(QueueName=queue),
        deploy,
    )
    ecs = client("ecs")
    own = {each.job_variables.get("task_family", outputs["TaskFamily"]) for each in deployments}
    for family in sorted(own):
        yield _check_exists(
            f"task definition {family}",
            partial(ecs.describe_task_definition, taskDefinition=family),
            deploy,
        )
    yield _service(ecs, outputs, stack)
    yield check_inbox(client("s3"), outputs["Inbox"], stack)
    yield check_quota(client, outputs)
    yield check_brake(outputs)
    if budget := outputs["BudgetName"]:
        yield check_cost_tag(client, budget)


def _check_exists(subject: str, look: Callable[[], object], fix: str) -> Finding:
    try:
        look()
    except ClientError as error:
        return Finding(subject, str(error), fix)
    return Finding(subject)


def worker_is_wanted(ecs: Any, outputs: Mapping[str, str]) -> bool:  # noqa: ANN401 - boto3's client
    """Whether the worker's service exists and wants a worker; the check reports how many run."""
    cluster, name = outputs["ClusterName"], outputs["WorkerServiceName"]
    try:
        services = ecs.describe_services(cluster=cluster, services=[name])["services"]
    except ClientError:
        return False
    return any(service["desiredCount"] for service in services)


def _service(ecs: Any, outputs: Mapping[str, str], stack: str) -> Finding:  # noqa: ANN401 - boto3's client
    cluster, name = outputs["ClusterName"], outputs["WorkerServiceName"]
    subject = f"worker service {name}"
    fix = f"sam deploy --stack-name {stack} --parameter-overrides WorkerCount=1"
    try:
        services = ecs.describe_services(cluster=cluster, services=[name])["services"]
    except ClientError as error:
        return Finding(subject, str(error), fix)
    if not services or not services[0]["desiredCount"]:
        return Finding(subject, "its desired count is 0", fix)
    running, wanted = services[0]["runningCount"], services[0]["desiredCount"]
    if running < wanted:
        log = f"aws ecs describe-services --cluster {cluster} --services {name} --query 'services[0].events[:5]'"
        return Finding(subject, f"{running} of {wanted} run", log)
    return Finding(subject)

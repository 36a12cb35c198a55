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
from prefect.exceptions import ObjectNotFound

from flows.deployment.account_checks import check_brake, check_cost_tag, check_quota
from flows.deployment.automations import Automation, our_automations
from flows.deployment.deployment_specs import DeploymentSpec, QueueSpec
from flows.deployment.deployments import flow_of
from flows.deployment.inbox_events import check_inbox
from flows.deployment.stack_finding import Finding
from flows.deployment.stack_images import worker_services

# A worker sends a heartbeat every 30 s.
HEARTBEAT = timedelta(seconds=90)
ABSENT = "does not exist"


@dataclass(frozen=True)
class Wanted:
    """What must be registered with Prefect."""

    work_pool: str
    queues: Sequence[QueueSpec]
    deployments: Sequence[DeploymentSpec]
    automations: Sequence[Automation] = ()


def check_prefect(client: SyncPrefectClient, wanted: Wanted, stack: str) -> Iterator[Finding]:
    """Check the API, work pool, queues, deployments, automations and the last heartbeat."""
    pool, ours = wanted.work_pool, metadata.version("echodrop")
    register = f"echodrop deploy --stack {stack}"

    look = partial(_look, register)
    yield (answer := check_api(client))
    if answer.problem is not None:
        return
    yield (
        answer := look(
            f"work pool {pool}",
            lambda: client.read_work_pool(pool),
            (
                lambda found: found.is_paused,
                "is paused, no run starts",
                f"prefect work-pool resume {pool}",
            ),
        )
    )
    if answer.problem == ABSENT:
        return
    for queue in wanted.queues:
        yield look(
            f"work queue {queue.name}",
            partial(client.read_work_queue_by_name, queue.name, work_pool_name=pool),
            (
                lambda found: found.is_paused,
                "is paused, so none of its runs starts",
                f"prefect work-queue resume {queue.name} --pool {pool}",
            ),
        )
    for spec in wanted.deployments:
        name = f"{flow_of(spec).name}/{spec.name}"
        yield look(
            f"deployment {name}",
            partial(client.read_deployment_by_name, name),
            (lambda found: found.paused, "is paused", f"prefect deployment resume {name}"),
            (
                lambda found: found.version != ours,
                f"was registered by version {{0.version}}, this code is {ours}",
                register,
            ),
        )
    registered = our_automations(client) if wanted.automations else {}
    for each in wanted.automations:
        yield look(
            f"automation '{each.name}'",
            partial(registered.__getitem__, each.name),
            (
                lambda found: not found.enabled,
                "is switched off",
                f"prefect automation resume '{each.name}'",
            ),
        )
    yield _worker(client, pool, stack)


def _look(
    fix: str,
    subject: str,
    read: Callable[[], Any],
    *faults: tuple[Callable[[Any], bool], str, str],
) -> Finding:
    """A finding with the first fault: how it is seen, the problem, and the command.

    `fix` is the command if what is read does not exist.
    """
    try:
        found = read()
    except (ObjectNotFound, KeyError):
        return Finding(subject, ABSENT, fix)
    except ClientError as error:
        return Finding(subject, str(error), fix)
    for is_so, problem, command in faults:
        if is_so(found):
            return Finding(subject, problem.format(found), command)
    return Finding(subject)


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


def last_heartbeats(client: SyncPrefectClient, pool: str) -> list[datetime]:
    """The time of the last heartbeat of each worker of the pool."""
    workers = client.request(
        "POST",
        "/work_pools/{work_pool_name}/workers/filter",
        path_params={"work_pool_name": pool},
        json={},
    ).json()
    beats = [worker["last_heartbeat_time"] for worker in workers]
    return [datetime.fromisoformat(beat) for beat in beats if beat]


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
    """Check the observer's queue, task definitions, worker service, inbox, quota and budget."""
    look = partial(_look, f"sam build && sam deploy --stack-name {stack}")
    queue = outputs["ObserverQueue"]
    yield look(
        f"observer's queue {queue}: without it a killed run stays Running",
        lambda: client("sqs").get_queue_url(QueueName=queue),
    )
    ecs = client("ecs")
    own = {each.job_variables.get("task_family", outputs["TaskFamily"]) for each in deployments}
    for family in sorted(own):
        describe = partial(ecs.describe_task_definition, taskDefinition=family)
        yield look(f"task definition {family}", describe)
    yield _service(ecs, outputs, stack)
    yield check_inbox(client("s3"), outputs["Inbox"], stack)
    yield check_quota(client, outputs)
    yield check_brake(outputs)
    if budget := outputs["BudgetName"]:
        yield check_cost_tag(client, budget)


def _service(ecs: Any, outputs: Mapping[str, str], stack: str) -> Finding:  # noqa: ANN401 - boto3's client
    cluster, name = outputs["ClusterName"], outputs["WorkerServiceName"]
    subject = f"worker service {name}"
    fix = f"sam deploy --stack-name {stack} --parameter-overrides WorkerCount=1"
    try:
        services = worker_services(ecs, outputs)
    except ClientError as error:
        return Finding(subject, str(error), fix)
    if not services or not services[0]["desiredCount"]:
        return Finding(subject, "its desired count is 0", fix)
    running, wanted = services[0]["runningCount"], services[0]["desiredCount"]
    if running < wanted:
        log = f"aws ecs describe-services --cluster {cluster} --services {name} --query 'services[0].events[:5]'"
        return Finding(subject, f"{running} of {wanted} run", log)
    return Finding(subject)

"""Registers the deployed stack with Prefect, and checks that a conversion has everything it needs.

    echodrop deploy --stack echodrop [--dry-run | --check] [--connect-inbox]

It is idempotent. Prefect's credential is the operator's own, from Prefect's profile or environment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment.automations import AutomationsError, Registration, read_automations
from flows.deployment.deployment_specs import DeploymentSpec, conversions, drawing, lanes
from flows.deployment.deployments import DeploymentTakenError, register
from flows.deployment.inbox_events import connect_inbox
from flows.deployment.stack_check import Wanted, check_aws, check_prefect, last_heartbeats
from flows.deployment.stack_finding import report
from flows.deployment.stack_images import check_images, definitions_in_force, worker_services
from flows.deployment.work_pool_template import StackOutputsError, base_job_template, check_outputs

# A worker looks for its pool, and sends a heartbeat, every 30 s; its task may also still be
# starting.
FIRST_SIGN_SECONDS = 120.0


def stack_outputs(cloudformation: Any, stack: str) -> dict[str, str]:  # noqa: ANN401 - boto3's client
    """Return a stack's outputs by name.

    Raises:
        ClientError: the stack does not exist, or access is denied.
    """
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}


def deploy(
    client: Callable[[str], Any],
    stack: str,
    say: Callable[[str], object],
    *,
    more: Sequence[DeploymentSpec] = (),
    dry_run: bool = False,
    only_check: bool = False,
    connect: bool = False,
    patience: float = FIRST_SIGN_SECONDS,
    version: str | None = None,
) -> bool:
    """Register pool, queues and deployments of a stack, then check; return whether all is well.

    `more` are deployments in addition to those of conversions and products. A worker has
    `patience` seconds to find a new pool. The images must have this `version`; None skips this
    check.

    Raises:
        ClientError: the stack cannot be read, or the inbox cannot be connected.
        StackOutputsError: the stack has an older version.
        AutomationsError: the block for the automations does not exist on the server.
        DeploymentTakenError: another stack has deployments with these names.
    """
    outputs = stack_outputs(client("cloudformation"), stack)
    check_outputs(outputs)
    pool_is_new = not only_check and (
        register_stack(outputs, say, more=more, dry_run=dry_run).pool_is_new
    )
    if connect:
        connect_inbox(client("s3"), outputs["Inbox"], say, dry_run=dry_run)
    wanted = _wanted(outputs, more)
    with temporary_settings({PREFECT_API_URL: outputs["PrefectUrl"]}):
        with get_client(sync_client=True) as prefect:
            if pool_is_new and _wants_worker(client("ecs"), outputs):
                _await_worker(prefect, wanted.work_pool, say, patience)
            findings = [*check_prefect(prefect, wanted, stack)]
        findings += check_aws(client, outputs, stack, wanted.deployments)
    if version is not None:
        definitions = definitions_in_force(client("ecs"), outputs, wanted.deployments)
        findings += check_images(client("ecr"), definitions, version, f"make deploy STACK={stack}")
    return report(findings, say)


def _wants_worker(ecs: Any, outputs: Mapping[str, str]) -> bool:  # noqa: ANN401 - boto3's client
    """Whether the worker's service exists and wants a worker; the check reports how many run."""
    try:
        return any(service["desiredCount"] for service in worker_services(ecs, outputs))
    except ClientError:
        return False


def _await_worker(
    prefect: SyncPrefectClient, work_pool: str, say: Callable[[str], object], patience: float
) -> None:
    """Wait for the first heartbeat of a worker; the check reports whether there was one."""
    began = time.monotonic()
    reported = 0.0
    while not last_heartbeats(prefect, work_pool):
        waited = time.monotonic() - began
        if waited >= patience:
            return
        if waited >= reported:
            say(f"waiting for a worker to find the new pool: {waited:.0f} s of {patience:.0f}")
            reported += 10
        time.sleep(1)


def register_stack(
    outputs: Mapping[str, str],
    say: Callable[[str], object],
    *,
    more: Sequence[DeploymentSpec] = (),
    dry_run: bool = False,
) -> Registration:
    """Register work pool, queues and deployments from a stack's outputs.

    Arguments and errors are those of `deploy`; `say` prints each change.
    """
    template, wanted = base_job_template(outputs), _wanted(outputs, more)
    with temporary_settings({PREFECT_API_URL: outputs["PrefectUrl"]}):
        done = register(
            template,
            work_pool=wanted.work_pool,
            queues=wanted.queues,
            deployments=wanted.deployments,
            notify_block=outputs["NotifyBlock"],
            dry_run=dry_run,
        )
    for change in done.changes or ["nothing to change"]:
        say(f"would {change}" if dry_run and done.changes else change)
    for note in done.notes:
        say(note)
    return done


def _wanted(outputs: Mapping[str, str], more: Sequence[DeploymentSpec]) -> Wanted:
    limit = int(outputs["ConversionConcurrency"]) or None
    return Wanted(
        outputs["WorkPoolName"],
        lanes(int(outputs["BackfillConcurrency"]), int(outputs["LiveConcurrency"])),
        (*conversions(concurrency_limit=limit), drawing(), *more),
        read_automations() if outputs["NotifyBlock"] else (),
    )


def deploy_at_terminal(stack: str, **options: Any) -> int:  # noqa: ANN401 - as `deploy` declares them
    """Deploy and print; return 0 if all is well, 1 otherwise, 2 if the stack cannot be read."""
    session: Any = boto3.Session()
    try:
        good = deploy(session.client, stack, lambda line: sys.stdout.write(line + "\n"), **options)
    except (
        BotoCoreError,
        ClientError,
        StackOutputsError,
        AutomationsError,
        DeploymentTakenError,
    ) as error:
        sys.stderr.write(f"stack {stack}: {error}\n")
        return 2
    return 0 if good else 1

"""Register the deployed stack with Prefect, and check that a conversion would find all it needs.

    echodrop deploy --stack echodrop [--dry-run | --check]

Idempotent: what is there already is not written again. Prefect's credential is
the operator's own, from Prefect's profile or environment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.automations import AutomationsError, read_automations
from flows.deployment_specs import DeploymentSpec, QueueSpec, conversions, lanes
from flows.deployments import register
from flows.stack_check import Finding, Wanted, check_aws, check_prefect
from flows.work_pool_template import StackOutputsError, base_job_template, check_outputs


def stack_outputs(cloudformation: Any, stack: str) -> dict[str, str]:  # noqa: ANN401 - boto3's client
    """Return a stack's outputs by name.

    Raises:
        ClientError: there is no such stack, or it may not be read.
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
) -> bool:
    """Register pool, queues and deployments of a stack, then check; tell whether nothing is missing.

    Args:
        client: returns a boto3 client of the service named.
        stack: the stack's name.
        say: takes each line for people.
        more: deployments beside the conversions'.
        dry_run: say what would be written, and write nothing.
        only_check: neither write nor compare.

    Raises:
        ClientError: the stack can't be read.
        StackOutputsError: it is of an older version.
        AutomationsError: the block that automations are to tell is not on the server.
    """
    outputs = stack_outputs(client("cloudformation"), stack)
    check_outputs(outputs)
    if not only_check:
        register_stack(outputs, say, more=more, dry_run=dry_run)
    deployments = _deployments(outputs, more)
    with temporary_settings({PREFECT_API_URL: outputs["PrefectUrl"]}):
        with get_client(sync_client=True) as prefect:
            wanted = Wanted(
                outputs["WorkPoolName"],
                _queues(outputs),
                deployments,
                read_automations() if outputs["NotifyBlock"] else (),
            )
            findings = [*check_prefect(prefect, wanted, stack)]
        findings += check_aws(client, outputs, stack, deployments)
    return report(findings, say)


def register_stack(
    outputs: Mapping[str, str],
    say: Callable[[str], object],
    *,
    more: Sequence[DeploymentSpec] = (),
    dry_run: bool = False,
) -> None:
    """Register work pool, queues and deployments as a stack's outputs have them.

    Args:
        outputs: the stack's.
        say: takes each change as a line for people.
        more: deployments beside the conversions'.
        dry_run: say what would be written, and write nothing.

    Raises:
        StackOutputsError: the stack is of an older version.
        AutomationsError: the block that automations are to tell is not on the server.
    """
    template = base_job_template(outputs)
    with temporary_settings({PREFECT_API_URL: outputs["PrefectUrl"]}):
        done = register(
            template,
            work_pool=outputs["WorkPoolName"],
            queues=_queues(outputs),
            deployments=_deployments(outputs, more),
            notify_block=outputs["NotifyBlock"],
            dry_run=dry_run,
        )
    for change in done.changes or ["nothing to change"]:
        say(f"would {change}" if dry_run and done.changes else change)
    for note in done.notes:
        say(note)


def _queues(outputs: Mapping[str, str]) -> tuple[QueueSpec, ...]:
    return lanes(int(outputs["BackfillConcurrency"]))


def _deployments(
    outputs: Mapping[str, str], more: Sequence[DeploymentSpec]
) -> tuple[DeploymentSpec, ...]:
    limit = int(outputs["ConversionConcurrency"]) or None
    return (*conversions(concurrency_limit=limit), *more)


def report(findings: Iterable[Finding], say: Callable[[str], object]) -> bool:
    """Say each finding; tell whether all is as it should be."""
    good = True
    for finding in findings:
        if finding.problem is None:
            say(f"ok       {finding.subject}")
            continue
        good = False
        say(f"MISSING  {finding.subject}: {finding.problem}")
        if finding.mend:
            say(f"         {finding.mend}")
    return good


def deploy_at_terminal(
    stack: str,
    *,
    region: str | None,
    dry_run: bool,
    only_check: bool,
    more: Sequence[DeploymentSpec] = (),
) -> int:
    """Deploy and print; 0 when nothing is missing, 1 otherwise, 2 where the stack can't be read."""
    session = boto3.Session(region_name=region)
    try:
        good = deploy(
            session.client,  # type: ignore[arg-type]  # the stubs want a literal
            stack,
            lambda line: sys.stdout.write(line + "\n"),
            more=more,
            dry_run=dry_run,
            only_check=only_check,
        )
    except (BotoCoreError, ClientError, StackOutputsError, AutomationsError) as error:
        sys.stderr.write(f"stack {stack}: {error}\n")
        return 2
    return 0 if good else 1

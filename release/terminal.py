"""`echodrop images`, `echodrop release` and `echodrop undeploy` at a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from release.code_version import code_version
from release.facts import StackFacts, facts_of, missing_for_build, pushed_images
from release.parameters import given_parameters, kept_parameters, merged, problems_of
from release.plan import ImageWork, deploy_plan, images_plan
from release.steps import Step, StepContext, StepFailedError, carry_out
from release.undeploy import BucketNotOursError, describe_retained, read_deployed, undeploy_plan
from sandbox.stack.intrinsics import TemplateError

Stack = Annotated[str, typer.Option(help="The stack's name.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", help="NAME=VALUE of the stack; docs/deploy.md lists them."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the steps.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

DONE, FAILED, NOT_READY = 0, 1, 2
# The stack's name is part of the names of its buckets.
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


def terminal_context() -> StepContext:
    """Return what the steps share, with this machine's credentials."""
    session = boto3.Session()
    return StepContext(
        session.client,  # type: ignore[arg-type]  # the stubs require a literal
        say,
    )


def say(line: str) -> None:
    """Print a line and flush it, because programs print in between."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(line + "\n")


def images(
    *, stack: Stack = "echodrop", parameter: Parameters = None, dry_run: DryRun = False
) -> int:
    """Build both images, push them, and store their digests in .echodrop/images.json.

    An image of this code that is already in the repository is not built again. Exit code 0: both
    exist; 1: a step failed; 2: something is missing, and nothing was done.
    """
    return release_plan(stack, parameter or (), dry_run=dry_run, images_alone=True)


def release(
    *,
    stack: Stack = "echodrop",
    parameter: Parameters = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    check: Annotated[bool, typer.Option(help="Run checks/run first.")] = True,
) -> int:
    """Release this code: check it, build images, deploy the stack, register with Prefect, and verify.

    A parameter that is not given keeps the stack's value. The exit codes are those of images.
    """
    return release_plan(stack, parameter or (), dry_run=dry_run, ask=not yes, check=check)


def release_plan(
    stack: str,
    words: Sequence[str],
    *,
    dry_run: bool,
    images_alone: bool = False,
    ask: bool = True,
    check: bool = True,
    context: StepContext | None = None,
) -> int:
    """Release the stack, or only its images; see the commands. Tests give the context."""
    context = context or terminal_context()
    code = code_version()
    if code is None:
        complain("a release needs a checkout, but the Dockerfile is missing")
        return NOT_READY
    repository_exists, pushed = False, dict[str, str]()
    try:
        requested = {**kept_parameters(), **given_parameters(words)}
        found, problems = _found(context, stack, dry_run=dry_run)
        values = merged(found.parameters, requested)
        architecture = values.get("CpuArchitecture", "ARM64")
        repository = values.get("ImageRepository", stack)
        if not problems:
            ecr = context.client("ecr")
            repository_exists, pushed = pushed_images(ecr, repository, code, architecture)
    except (BotoCoreError, ClientError, TemplateError) as error:
        complain(f"stack {stack}: {error}")
        return NOT_READY
    if not STACK_NAME.fullmatch(stack):
        problems.append(
            f"{stack}: the name is part of bucket names: use lower case, digits and hyphens, 40 at most"
        )
    if not images_alone:
        problems += problems_of(values, stack)
    if found.status == "ROLLBACK_COMPLETE" and not images_alone:
        problems.append(
            f"the first deployment of {stack} failed and must be deleted:"
            f" `aws cloudformation delete-stack --stack-name {stack}`, then retry"
        )
    work = ImageWork(
        stack=stack,
        registry=found.registry,
        repository=repository,
        ours=found.repository_is_made or not repository_exists,
        code=code,
        architecture=architecture,
        pushed=pushed,
    )
    if work.missing:
        problems += missing_for_build(context, architecture)
    if repository_exists and not found.repository_is_made:
        say(f"image repository {repository} was not made by a release and stays unchanged")
    say(f"code {code.version}, commit {code.revision or 'unknown'}")
    steps = (
        images_plan(work) if images_alone else deploy_plan(work, requested, ask=ask, check=check)
    )
    return _carry_out(steps, context, problems, dry_run=dry_run)


def _found(context: StepContext, stack: str, *, dry_run: bool) -> tuple[StackFacts, list[str]]:
    """What AWS knows about the stack; without AWS a dry run assumes an empty account."""
    try:
        return facts_of(context.client, stack), []
    except (BotoCoreError, ClientError) as error:
        if not dry_run:
            raise
        return StackFacts(), [
            f"AWS does not answer, so this is the plan for an empty account: {error}"
        ]


def _carry_out(
    steps: Sequence[Step], context: StepContext, problems: Sequence[str], *, dry_run: bool
) -> int:
    for problem in problems:
        complain(f"MISSING  {problem}")
    if problems and not dry_run:
        complain("nothing was done")
        return NOT_READY
    try:
        carry_out(steps, context, dry_run=dry_run)
    except StepFailedError as error:
        complain(f"FAILED   {error}")
        if error.remedy:
            complain(f"         {error.remedy}")
        complain("         the same command does not repeat steps that are already done")
        return FAILED
    if dry_run:
        say("dry run: nothing was done")
    return NOT_READY if problems else DONE


def undeploy(
    *,
    stack: Stack = "echodrop",
    delete_data: Annotated[
        list[str] | None,
        typer.Option(help="A bucket of the stack to delete with its content."),
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Minutes to wait for running conversions.", min=0)
    ] = 60,
    prefect: Annotated[
        bool, typer.Option(help="Also delete pool, deployments and automations in Prefect.")
    ] = True,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> int:
    """Remove a stack except its data: Prefect's objects, stack, images, sam's files, secret, key.

    It can be repeated until all is gone. Exit code 0: all is gone; 1: a step failed; 2: there is no stack.
    """
    data, context = delete_data or [], terminal_context()
    try:
        deployed = read_deployed(context.client, stack, context.folder)
        if deployed is None:
            complain(f"there is no stack {stack}, and no unfinished removal of it")
            return NOT_READY
        steps = undeploy_plan(deployed, delete_data=data, wait_minutes=wait, prefect=prefect)
    except (BotoCoreError, ClientError, BucketNotOursError) as error:
        complain(f"stack {stack}: {error}")
        return NOT_READY
    for line in describe_retained(deployed, data, prefect=prefect):
        say(line)
    if not dry_run and not yes and not _wanted(stack, data):
        complain("nothing was done")
        return FAILED
    return _carry_out(steps, context, [], dry_run=dry_run)


def _wanted(stack: str, delete_data: Sequence[str]) -> bool:
    data = f", with all data in {', '.join(delete_data)}" if delete_data else ""
    try:
        answer = input(f"Remove the stack {stack}{data}? Type its name: ")
    except EOFError:
        complain("there is no terminal for the confirmation: use --yes")
        return False
    return answer.strip() == stack

"""From the code at hand to a stack that runs it, registered and checked."""

from __future__ import annotations

from collections.abc import Mapping

from release.images import ImageWork, images_plan
from release.parameters import DIGESTS
from release.steps import AwsCall, Program, Step

# IAM's answer where the role is there.
_ROLE_IS_THERE = frozenset({"InvalidInput"})


def quoted(name: str, value: str) -> str:
    """Return a parameter as sam takes it: without quotes it takes no empty value and no blank."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def deploy_plan(
    work: ImageWork, parameters: Mapping[str, str], *, ask: bool, check: bool
) -> list[Step]:
    """Return the steps of a release.

    Args:
        work: the images'.
        parameters: to be said to CloudFormation; what is left out stays as the stack has it.
        ask: whether sam shows the changes and asks before it makes them.
        check: whether to run the project's checks first.
    """
    stack = work.stack
    overrides = {
        **parameters,
        "ImageRepository": work.repository,
        **{name: f"{{{result}}}" for name, result in DIGESTS.items()},
    }
    steps: list[Step] = []
    if check:
        steps.append(Program("check the template, its policies and the code", ("checks/run",)))
    steps += images_plan(work)
    return [
        *steps,
        AwsCall(
            "make the role that ECS acts by, which an account that never used ECS lacks",
            "iam",
            "create_service_linked_role",
            {"AWSServiceName": "ecs.amazonaws.com"},
            done_already=_ROLE_IS_THERE,
        ),
        Program("build the two functions", ("sam", "build")),
        Program(
            f"make or change the stack {stack}",
            (
                *("sam", "deploy", "--stack-name", stack, "--s3-prefix", stack),
                "--confirm-changeset" if ask else "--no-confirm-changeset",
                *(
                    "--parameter-overrides",
                    *(quoted(name, value) for name, value in overrides.items()),
                ),
            ),
            remedy=(
                "CloudFormation's events above name the resource. A first deployment that failed is"
                f" ROLLBACK_COMPLETE: aws cloudformation delete-stack --stack-name {stack}, then again"
            ),
        ),
        Program(
            "register with Prefect, and check",
            ("echodrop", "deploy", "--stack", stack),
            remedy="each line MISSING has what to do below it; then give this command again",
        ),
    ]

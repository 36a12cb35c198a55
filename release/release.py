"""The plan of a release: deploys a stack that runs this code, registers and verifies it."""

from __future__ import annotations

from collections.abc import Mapping

from release.images import ImageWork, images_plan
from release.parameters import DIGESTS
from release.steps import Step, aws_call, program

# IAM's error code if the role exists.
_ROLE_IS_THERE = frozenset({"InvalidInput"})


def quoted(name: str, value: str) -> str:
    """Quote a parameter for sam, which otherwise rejects empty values and blanks."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def deploy_plan(
    work: ImageWork, parameters: Mapping[str, str], *, ask: bool, check: bool
) -> list[Step]:
    """Return the steps of a release.

    Parameters that are not given keep the stack's values. If `ask`, sam shows the changes and
    asks for confirmation.
    """
    stack = work.stack
    overrides = {
        **parameters,
        "ImageRepository": work.repository,
        **{name: f"{{{result}}}" for name, result in DIGESTS.items()},
    }
    steps: list[Step] = []
    if check:
        steps.append(program("check the template, its policies and the code", ("checks/run",)))
    steps += images_plan(work)
    return [
        *steps,
        aws_call(
            "create the service-linked role of ECS, which a new account lacks",
            "iam",
            "create_service_linked_role",
            {"AWSServiceName": "ecs.amazonaws.com"},
            done_already=_ROLE_IS_THERE,
        ),
        program("build the two functions", ("sam", "build")),
        program(
            f"create or update the stack {stack}",
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
                f" ROLLBACK_COMPLETE: aws cloudformation delete-stack --stack-name {stack}, then retry"
            ),
        ),
        program(
            "register with Prefect, and verify",
            ("echodrop", "deploy", "--stack", stack),
            remedy="each MISSING line has a remedy below it; then repeat this command",
        ),
    ]

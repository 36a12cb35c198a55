"""Collects the facts for a release: the account, the stack, its images, and this machine's tools."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from flows.deployment.stack_images import TARGETS, image_tag
from release.base_images import unpinned
from release.code_version import DOCKERFILE, CodeVersion
from release.plan import PLATFORMS, repository_stack
from release.steps import StepContext

_NO_REPOSITORY = "RepositoryNotFoundException"
_NO_IMAGE = "ImageNotFoundException"


@dataclass(frozen=True)
class StackFacts:
    """What AWS knows about a stack; the defaults describe an empty account.

    Attributes:
        registry: host name of the account's image registry.
        parameters: parameters of the stack, empty if there is no stack.
        status: status of the stack, empty if there is no stack.
        repository_is_made: whether a release made the image repository.
    """

    registry: str = "ACCOUNT.dkr.ecr.REGION.amazonaws.com"
    parameters: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    repository_is_made: bool = False


def facts_of(client: Callable[[str], Any], stack: str) -> StackFacts:
    """Read from AWS what exists of a stack, except its images.

    Raises:
        BotoCoreError, ClientError: credentials or a region are missing, or AWS refuses.
    """
    cloudformation = client("cloudformation")
    found = stack_of(cloudformation, stack) or {}
    (data,) = client("ecr").get_authorization_token()["authorizationData"]
    return StackFacts(
        registry=data["proxyEndpoint"].removeprefix("https://"),
        parameters={
            each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])
        },
        status=found.get("StackStatus", ""),
        repository_is_made=repository_is_made(cloudformation, stack),
    )


def stack_of(cloudformation: Any, name: str) -> Mapping[str, Any] | None:  # noqa: ANN401 - a boto3 client
    """Return a stack as CloudFormation describes it, None if it does not exist.

    Raises:
        ClientError: CloudFormation refuses.
    """
    try:
        (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        # CloudFormation has no special error code for a missing stack.
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    return dict(found)


def pushed_images(
    ecr: Any,  # noqa: ANN401 - a boto3 client
    repository: str,
    code: CodeVersion,
    architecture: str,
) -> tuple[bool, dict[str, str]]:
    """Return whether the repository exists, and the digests of this version in it, by target.

    Raises:
        ClientError: ECR refuses.
    """
    digests = {}
    for target in TARGETS:
        tag = image_tag(target, code.version, architecture)
        try:
            found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        except ClientError as error:
            if error.response["Error"]["Code"] == _NO_REPOSITORY:
                return False, {}
            if error.response["Error"]["Code"] != _NO_IMAGE:
                raise
            continue
        digests[target] = found["imageDetails"][0]["imageDigest"]
    return True, digests


def repository_is_made(cloudformation: Any, stack: str) -> bool:  # noqa: ANN401 - a boto3 client
    """Whether a release made this stack's repository.

    Raises:
        ClientError: CloudFormation refuses.
    """
    return stack_of(cloudformation, repository_stack(stack)) is not None


def missing_for_build(context: StepContext, architecture: str) -> list[str]:
    """List what this machine lacks to build the images, with the remedies."""
    problems = [
        f"{DOCKERFILE} names {image} by its tag, whose image may change:"
        " `.venv/bin/python -m release.base_images` writes its digest"
        for image in unpinned((context.folder / DOCKERFILE).read_text("utf-8"))
    ]
    if _output_of(context, "docker", "version", "--format", "{{.Server.Version}}") is None:
        problems.append(
            "docker has no engine here: install or start it, or run `make images` on a machine that"
            " has one; `make deploy` then finds the images in the repository"
        )
        return problems
    builder = _output_of(context, "docker", "buildx", "inspect", "--bootstrap")
    platform = PLATFORMS[architecture]
    if builder is None:
        problems.append("docker has no buildx: install docker-buildx-plugin")
    elif platform not in builder:
        problems.append(
            f"this docker can't build for {platform}: `docker run --privileged --rm"
            f" tonistiigi/binfmt --install all`, or deploy with another CpuArchitecture"
        )
    return problems


def _output_of(context: StepContext, *words: str) -> str | None:
    """The output of a program, None if it is missing or fails."""
    try:
        done = subprocess.run(
            list(words),
            env=dict(context.environment),
            cwd=context.folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout

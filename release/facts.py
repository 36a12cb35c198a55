"""What is there before a release: the account, the stack, its images, and this machine's tools."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.session import get_session

from flows.stack_images import TARGETS, image_tag
from release.base_images import unpinned
from release.code_version import DOCKERFILE, CodeVersion
from release.images import PLATFORMS, repository_stack
from release.steps import Running

_NO_REPOSITORY = "RepositoryNotFoundException"
_NO_IMAGE = "ImageNotFoundException"


@dataclass(frozen=True)
class Place:
    """Where a stack is: an account in a region; the suffix is of the region's host names."""

    account: str = "ACCOUNT"
    region: str = "REGION"
    suffix: str = "amazonaws.com"

    @property
    def registry(self) -> str:
        """The host of the account's image registry."""
        return f"{self.account}.dkr.ecr.{self.region}.{self.suffix}"


@dataclass(frozen=True)
class Found:
    """What AWS has of a stack; the defaults are those of an account that has nothing.

    Attributes:
        place: where.
        parameters: of the stack, none where there is no stack.
        status: of the stack, empty where there is none.
        repository_is_made: whether a release made the image repository.
        pushed: digests of this version's images, by target.
        repository_exists: whether there is a repository, whoever made it.
    """

    place: Place = Place()
    parameters: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    repository_is_made: bool = False
    repository_exists: bool = False
    pushed: Mapping[str, str] = field(default_factory=dict)


def place_of(session: boto3.Session) -> Place:
    """Ask AWS whose credentials these are.

    Raises:
        BotoCoreError, ClientError: there are none, they are refused, or no region is set.
    """
    # A client of a service with regions: it names the setting that is missing.
    region = session.client("ecr").meta.region_name
    account = session.client("sts").get_caller_identity()["Account"]
    resolver = get_session().get_component("endpoint_resolver")
    partition = session.get_partition_for_region(region)
    return Place(account, region, resolver.get_partition_dns_suffix(partition))


def stack_of(cloudformation: Any, name: str) -> Mapping[str, Any] | None:  # noqa: ANN401 - boto3's client
    """Return a stack as CloudFormation describes it, None where it is not there.

    Raises:
        ClientError: CloudFormation may not be asked.
    """
    try:
        (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        # CloudFormation has no code of its own for a stack that is not there.
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    return dict(found)


def pushed_images(
    ecr: Any,  # noqa: ANN401 - boto3's client
    repository: str,
    code: CodeVersion,
    architecture: str,
) -> tuple[bool, dict[str, str]]:
    """Return whether the repository is there, and this version's digests in it, by target.

    Raises:
        ClientError: ECR may not be asked.
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


def repository_is_made(cloudformation: Any, stack: str) -> bool:  # noqa: ANN401 - boto3's client
    """Whether a release made this stack's repository.

    Raises:
        ClientError: CloudFormation may not be asked.
    """
    return stack_of(cloudformation, repository_stack(stack)) is not None


def missing_for_build(running: Running, architecture: str) -> list[str]:
    """Say what this machine lacks to build the images, each with what to do."""
    problems = [
        f"{DOCKERFILE} takes {image} by its tag, which may be another image tomorrow:"
        " `.venv/bin/python -m release.base_images` writes its digest"
        for image in unpinned((running.folder / DOCKERFILE).read_text("utf-8"))
    ]
    if _said(running, "docker", "version", "--format", "{{.Server.Version}}") is None:
        problems.append(
            "docker has no engine here: install it or start it, or run `make images` on a machine that"
            " has one; `make deploy` then finds the images in the repository"
        )
        return problems
    builder = _said(running, "docker", "buildx", "inspect", "--bootstrap")
    platform = PLATFORMS[architecture]
    if builder is None:
        problems.append("docker has no buildx: install docker-buildx-plugin")
    elif platform not in builder:
        problems.append(
            f"this docker builds nothing for {platform}: `docker run --privileged --rm"
            f" tonistiigi/binfmt --install all`, or deploy with another CpuArchitecture"
        )
    return problems


def _said(running: Running, *words: str) -> str | None:
    """What a program prints, None where it is not there or fails."""
    try:
        done = subprocess.run(
            list(words),
            env=dict(running.environment),
            cwd=running.folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout

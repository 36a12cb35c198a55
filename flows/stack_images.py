"""Whether what ECS runs holds the code at hand: by the tags that a release gives its images.

A tag holds the code's version and cannot be moved to another image, so a digest's tags say what is
in it. Nothing that a deployer claims is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from flows.deployment_specs import DeploymentSpec
from flows.stack_finding import Finding

TARGETS = ("task", "worker")
_GONE = {"ImageNotFoundException", "RepositoryNotFoundException"}


def image_tag(target: str, version: str, architecture: str) -> str:
    """Return the tag of an image: what it is for, the code's version, ECS's name of the processor."""
    return f"{target}-{version}-{architecture.lower()}"


def check_images(
    ecr: Any,  # noqa: ANN401 - boto3's client
    definitions: Mapping[str, Mapping[str, Any]],
    version: str,
    release: str,
) -> Iterator[Finding]:
    """Look at the image of each task definition, and at the repositories that hold them.

    Args:
        ecr: boto3's client.
        definitions: as ECS describes them, by what people call them.
        version: of the code at hand.
        release: the command that brings the stack to it.
    """
    repositories: set[str] = set()
    for subject, definition in definitions.items():
        image = definition["containerDefinitions"][0]["image"]
        repository, digest = _parts(image)
        if not digest:
            yield Finding(f"image of {subject}", f"{image} is named by no digest", release)
            continue
        repositories.add(repository)
        problem = _image(ecr, definition, version)
        yield Finding(f"image of {subject}", problem, release if problem else None)
    for repository in sorted(repositories):
        yield _repository(ecr, repository)


def _image(
    ecr: Any,  # noqa: ANN401 - boto3's client
    definition: Mapping[str, Any],
    version: str,
) -> str | None:
    """What is wrong with a definition's image, None where it holds this code."""
    container = definition["containerDefinitions"][0]
    repository, digest = _parts(container["image"])
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return f"{digest} is no longer in {repository}: no task can start"
        return str(error)
    tags = [tag for each in found["imageDetails"] for tag in each.get("imageTags", [])]
    target = "worker" if container["name"] == "worker" else "task"
    processor = definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    wanted = image_tag(target, version, processor)
    if wanted in tags:
        return None
    held = ", ".join(tags) or "what no release tagged"
    return f"holds {held}, this code is {wanted}"


def _parts(image: str) -> tuple[str, str]:
    """Return repository and digest of `registry/repository@digest`; no digest where a tag names it."""
    repository, _, digest = image.partition("/")[2].partition("@")
    return repository, digest


def _repository(ecr: Any, name: str) -> Finding:  # noqa: ANN401 - boto3's client
    subject = f"image repository {name}"
    try:
        (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    except ClientError as error:
        return Finding(subject, str(error))
    if found.get("imageTagMutability") != "IMMUTABLE":
        return Finding(
            subject,
            "lets a tag be moved, so tags prove nothing",
            f"aws ecr put-image-tag-mutability --repository-name {name} --image-tag-mutability IMMUTABLE",
        )
    if not found.get("imageScanningConfiguration", {}).get("scanOnPush"):
        return Finding(
            subject,
            "scans no image on push",
            f"aws ecr put-image-scanning-configuration --repository-name {name}"
            " --image-scanning-configuration scanOnPush=true",
        )
    return Finding(subject)


def definitions_in_force(
    ecs: Any,  # noqa: ANN401 - boto3's client
    outputs: Mapping[str, str],
    deployments: Sequence[DeploymentSpec],
) -> dict[str, Mapping[str, Any]]:
    """Return what ECS would start now: of each family the newest, of the worker what its service has.

    A service that went back to its last worker has an older one than its family. What is not there is
    left out: the check of the stack says so.
    """
    families = {
        each.job_variables.get("task_family", outputs["TaskFamily"]) for each in deployments
    }
    wanted = {f"task definition {family}": family for family in sorted(families)}
    cluster, service = outputs["ClusterName"], outputs["WorkerServiceName"]
    try:
        found = ecs.describe_services(cluster=cluster, services=[service])["services"]
    except ClientError:
        found = []
    wanted |= {f"worker's service {service}": each["taskDefinition"] for each in found}
    definitions = {}
    for subject, name in wanted.items():
        try:
            told = ecs.describe_task_definition(taskDefinition=name)
        except ClientError:
            continue
        definitions[subject] = told["taskDefinition"]
    return definitions

"""Checks by release tags whether the images that ECS runs contain this version of the code.

A tag has the code's version and cannot be moved to another image, so the tags of a
digest show what the image contains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from flows.deployment.deployment_specs import DeploymentSpec
from flows.deployment.stack_finding import Finding

TARGETS = ("task", "worker")
_GONE = {"ImageNotFoundException", "RepositoryNotFoundException"}


def image_tag(target: str, version: str, architecture: str) -> str:
    """Return the tag of an image: its target, the code's version, ECS's name of the processor."""
    return f"{target}-{version}-{architecture.lower()}"


def check_images(
    ecr: Any,  # noqa: ANN401 - boto3's client
    definitions: Mapping[str, Mapping[str, Any]],
    version: str,
    release: str,
) -> Iterator[Finding]:
    """Check the image of each task definition, and their repositories.

    `definitions` are ECS's descriptions by a name for people, `release` is the command that
    updates the stack to this version.
    """
    repositories: set[str] = set()
    for subject, definition in definitions.items():
        image = definition["containerDefinitions"][0]["image"]
        repository, digest = _parts(image)
        if not digest:
            yield Finding(f"image of {subject}", f"{image} has no digest", release)
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
    """What is wrong with a definition's image, None if it contains this code."""
    container = definition["containerDefinitions"][0]
    repository, digest = _parts(container["image"])
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return f"{digest} is no longer in {repository}, so no task can start"
        return str(error)
    tags = [tag for each in found["imageDetails"] for tag in each.get("imageTags", [])]
    target = "worker" if container["name"] == "worker" else "task"
    processor = definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    wanted = image_tag(target, version, processor)
    if wanted in tags:
        return None
    held = ", ".join(tags) or "an image without a release tag"
    return f"has {held}, this code is {wanted}"


def _parts(image: str) -> tuple[str, str]:
    """Return repository and digest of `registry/repository@digest`; with a tag no digest."""
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
            "allows tags to be moved, so tags prove nothing",
            f"aws ecr put-image-tag-mutability --repository-name {name} --image-tag-mutability IMMUTABLE",
        )
    if not found.get("imageScanningConfiguration", {}).get("scanOnPush"):
        return Finding(
            subject,
            "does not scan images on push",
            f"aws ecr put-image-scanning-configuration --repository-name {name}"
            " --image-scanning-configuration scanOnPush=true",
        )
    return Finding(subject)


def definitions_in_force(
    ecs: Any,  # noqa: ANN401 - boto3's client
    outputs: Mapping[str, str],
    deployments: Sequence[DeploymentSpec],
) -> dict[str, Mapping[str, Any]]:
    """Return what ECS would start now: each family's newest, and the worker service's own.

    A service that was rolled back has an older definition than the newest of its
    family. Missing ones are left out, because the check of the stack reports them.
    """
    families = {
        each.job_variables.get("task_family", outputs["TaskFamily"]) for each in deployments
    }
    wanted = {f"task definition {family}": family for family in sorted(families)}
    with suppress(ClientError):
        for service in worker_services(ecs, outputs):
            subject = f"worker service {outputs['WorkerServiceName']}"
            wanted[subject] = service["taskDefinition"]
    definitions = {}
    for subject, name in wanted.items():
        with suppress(ClientError):
            answer = ecs.describe_task_definition(taskDefinition=name)
            definitions[subject] = answer["taskDefinition"]
    return definitions


def worker_services(ecs: Any, outputs: Mapping[str, str]) -> list[dict[str, Any]]:  # noqa: ANN401 - boto3's client
    """ECS's description of the worker's service; empty if it does not exist."""
    cluster, name = outputs["ClusterName"], outputs["WorkerServiceName"]
    found: list[dict[str, Any]] = ecs.describe_services(cluster=cluster, services=[name])[
        "services"
    ]
    return found

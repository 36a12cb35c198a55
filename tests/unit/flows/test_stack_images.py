"""The check names images with another version of the code."""

import json
from typing import Any

import boto3
import pytest

from flows.deployment.stack_images import check_images, definitions_in_force

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
VERSION = "0.1.0-abc"
OUTPUTS = {"TaskFamily": "survey-convert", "ClusterName": "survey", "WorkerServiceName": "w"}


@pytest.fixture
def ecr(session: boto3.Session) -> Any:
    client = session.client("ecr")
    client.create_repository(
        repositoryName="survey",
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
    )
    return client


def push(ecr: Any, tag: str) -> str:
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {"digest": tag}}
    )
    put = ecr.put_image(
        repositoryName="survey",
        imageManifest=manifest,
        imageTag=tag,
        imageManifestMediaType=MANIFEST,
    )
    return str(put["image"]["imageId"]["imageDigest"])


def definition(digest: str, container: str = "prefect") -> dict[str, Any]:
    image = f"1.dkr.ecr.us-east-1.amazonaws.com/survey@{digest}"
    return {
        "containerDefinitions": [{"name": container, "image": image}],
        "runtimePlatform": {"cpuArchitecture": "ARM64"},
    }


def problems(ecr: Any, described: dict[str, Any]) -> list[str]:
    findings = check_images(ecr, {"task": described}, VERSION, "make deploy")
    return [each.problem for each in findings if each.problem]


@pytest.mark.parametrize(("target", "container"), [("task", "prefect"), ("worker", "worker")])
def test_an_image_of_this_code_is_good(ecr: Any, target: str, container: str) -> None:
    assert problems(ecr, definition(push(ecr, f"{target}-{VERSION}-arm64"), container)) == []


@pytest.mark.parametrize(
    ("tag", "container"),
    [
        ("task-0.1.0-def-arm64", "prefect"),
        (f"task-{VERSION}-x86_64", "prefect"),
        (f"worker-{VERSION}-arm64", "prefect"),
        (f"task-{VERSION}-arm64", "worker"),
        ("latest", "prefect"),
    ],
)
def test_another_code_processor_or_purpose_is_named(ecr: Any, tag: str, container: str) -> None:
    (problem,) = problems(ecr, definition(push(ecr, tag), container))
    assert problem.startswith(f"has {tag}, this code is ")


def test_an_image_that_was_deleted_is_named(ecr: Any) -> None:
    (problem,) = problems(ecr, definition("sha256:" + "0" * 64))
    assert "no task can start" in problem


def test_an_image_by_its_tag_is_named(ecr: Any) -> None:
    described = definition("")
    described["containerDefinitions"][0]["image"] = (
        "1.dkr.ecr.us-east-1.amazonaws.com/survey:latest"
    )
    (problem,) = problems(ecr, described)
    assert "has no digest" in problem


def test_a_repository_whose_tags_may_be_moved_is_named(ecr: Any) -> None:
    digest = push(ecr, f"task-{VERSION}-arm64")
    ecr.put_image_tag_mutability(repositoryName="survey", imageTagMutability="MUTABLE")
    (problem,) = problems(ecr, definition(digest))
    assert "tags prove nothing" in problem


def test_a_repository_that_scans_nothing_is_named(ecr: Any) -> None:
    digest = push(ecr, f"task-{VERSION}-arm64")
    ecr.put_image_scanning_configuration(
        repositoryName="survey", imageScanningConfiguration={"scanOnPush": False}
    )
    (problem,) = problems(ecr, definition(digest))
    assert problem == "does not scan images on push"


def test_a_worker_that_was_rolled_back_is_checked_as_it_runs(session: boto3.Session) -> None:
    ecs = session.client("ecs")
    ecs.create_cluster(clusterName="survey")
    for family in ("survey-convert", "survey-worker", "survey-worker"):
        ecs.register_task_definition(
            family=family, containerDefinitions=[{"name": "worker", "image": "i", "memory": 64}]
        )
    ecs.create_service(
        cluster="survey", serviceName="w", taskDefinition="survey-worker:1", desiredCount=0
    )
    found = definitions_in_force(ecs, OUTPUTS, ())
    assert set(found) == {"worker service w"}
    assert found["worker service w"]["revision"] == 1

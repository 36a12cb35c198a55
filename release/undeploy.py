"""Take a stack away again: all that a release made, and of data nothing that was not named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from release.aws_steps import AwaitTasks, DeleteBucket, DeleteObjects, DeleteStack
from release.facts import repository_is_made, stack_of
from release.images import FOLDER, repository_stack
from release.notes import ForgetNote, KeepNote
from release.prefect_steps import ForgetPrefect, PausePool
from release.steps import AwsCall, Step

_GONE = frozenset({"ResourceNotFoundException", "NotFoundException", "KMSInvalidStateException"})
# What outlives the stack (DeletionPolicy), and what becomes of it here.
SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a type's name
KEY = "AWS::KMS::Key"
BUCKET = "AWS::S3::Bucket"
RETAINED = (SECRET, KEY, BUCKET)
KEY_WAITS_DAYS = 30
# sam's own stack, which holds the bucket of `resolve_s3`.
SAM_STACK = "aws-sam-cli-managed-default"


class BucketNotOursError(Exception):
    """A bucket was named to be deleted that the stack did not make."""

    def __init__(self, bucket: str, ours: Sequence[str]) -> None:
        made = ", ".join(ours) or "none"
        super().__init__(f"{bucket} is no bucket that this stack made ({made}): it is left alone")
        self.bucket = bucket


@dataclass(frozen=True)
class Deployed:
    """What there is of a stack.

    It is kept in a file from the first step on: once the stack is gone, nothing else knows the rest.

    Attributes:
        stack: its name.
        outputs: its outputs by name.
        retained: physical ids of what outlives it, by CloudFormation's type.
        repository_is_made: whether a release made the image repository.
        sam_bucket: where sam keeps templates and code; empty where there is none.
    """

    stack: str
    outputs: Mapping[str, str]
    retained: Mapping[str, Sequence[str]]
    repository_is_made: bool
    sam_bucket: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            OSError, ValueError, TypeError: it is not there, or of another version.
        """
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        """Write it down."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def note_of(stack: str) -> Path:
    """Return where a stack's removal is written down, below the run's folder."""
    return FOLDER / f"undeploy-{stack}.json"


def undeploy_plan(
    deployed: Deployed, *, delete_data: Sequence[str], wait_minutes: float, prefect: bool
) -> list[Step]:
    """Return the steps that take a stack away; each finds out what is gone already, so all can be repeated.

    Args:
        deployed: what there is.
        delete_data: buckets of the stack to be deleted with all they hold, by name.
        wait_minutes: how long conversions under way may take to end.
        prefect: whether to ask Prefect; without, its side stays as it is.

    Raises:
        BucketNotOursError: a bucket was named that the stack did not make.
    """
    buckets = deployed.retained.get(BUCKET, ())
    for bucket in delete_data:
        if bucket not in buckets:
            raise BucketNotOursError(bucket, buckets)
    stack, outputs = deployed.stack, deployed.outputs
    note = note_of(stack)
    url, pool = outputs["PrefectUrl"], outputs["WorkPoolName"]
    family = outputs["TaskFamily"]
    families = (family, f"{family.removesuffix('-convert')}-operations")
    steps: list[Step] = [KeepNote(deployed, note)]
    if prefect:
        steps.append(PausePool(url, pool))
    # A cluster with tasks in it cannot be deleted.
    steps.append(AwaitTasks(outputs["ClusterName"], families, wait_minutes))
    steps.append(DeleteStack(stack))
    if prefect:
        # After the stack: nothing is left that would call their absence a fault.
        steps.append(ForgetPrefect(url, pool))
    if deployed.sam_bucket:
        steps.append(DeleteObjects(deployed.sam_bucket, f"{stack}/"))
    if deployed.repository_is_made:
        steps.append(DeleteStack(repository_stack(stack)))
    steps += [_delete_secret(secret) for secret in deployed.retained.get(SECRET, ())]
    steps += [_delete_key(key) for key in deployed.retained.get(KEY, ())]
    for bucket in delete_data:
        steps += [DeleteObjects(bucket, ""), DeleteBucket(bucket)]
    return [*steps, ForgetNote(note)]


def what_stays(deployed: Deployed, delete_data: Sequence[str], *, prefect: bool) -> list[str]:
    """Say what is left, and why."""
    lines = [
        f"bucket {bucket} stays with all it holds (--delete-data {bucket} deletes it)"
        for bucket in deployed.retained.get(BUCKET, ())
        if bucket not in delete_data
    ]
    if not deployed.repository_is_made:
        repository = deployed.outputs["TaskImage"].partition("@")[0]
        lines.append(
            f"image repository {repository} stays, no release made it: "
            f"aws ecr delete-repository --force --repository-name {repository}"
        )
    if not prefect:
        lines.append(f"Prefect's work pool {deployed.outputs['WorkPoolName']} and deployments stay")
    lines.append(
        "uploads that arrive from now on are not converted; `echodrop reconcile --fix` of a"
    )
    lines.append("later stack on the same inbox finds them")
    return lines


def _delete_secret(secret: str) -> AwsCall:
    # The credential can be made again in Prefect; a secret that waits keeps its name from the next stack.
    return AwsCall(
        f"delete the secret {secret}",
        "secretsmanager",
        "delete_secret",
        {"SecretId": secret, "ForceDeleteWithoutRecovery": True},
        done_already=_GONE,
    )


def _delete_key(key: str) -> AwsCall:
    return AwsCall(
        f"have the key {key} deleted in {KEY_WAITS_DAYS} days, until then it can be taken back",
        "kms",
        "schedule_key_deletion",
        {"KeyId": key, "PendingWindowInDays": KEY_WAITS_DAYS},
        done_already=_GONE,
    )


def read_deployed(client: Any, stack: str, folder: Path) -> Deployed | None:  # noqa: ANN401 - boto3's clients
    """Return what there is of a stack, from AWS or, where the stack is gone, from the note; else None.

    Raises:
        ClientError: CloudFormation may not be asked.
    """
    cloudformation = client("cloudformation")
    found = stack_of(cloudformation, stack)
    if found is None:
        note = folder / note_of(stack)
        return Deployed.read(note) if note.is_file() else None
    retained: dict[str, list[str]] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] in RETAINED and resource.get("PhysicalResourceId"):
                retained.setdefault(resource["ResourceType"], []).append(
                    resource["PhysicalResourceId"]
                )
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    sam = stack_of(cloudformation, SAM_STACK) or {}
    sam_outputs = {each["OutputKey"]: each["OutputValue"] for each in sam.get("Outputs", [])}
    return Deployed(
        stack,
        outputs,
        retained,
        repository_is_made(cloudformation, stack),
        sam_outputs.get("SourceBucket", ""),
    )

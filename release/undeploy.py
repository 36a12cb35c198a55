"""The plan of a removal: everything that a release made, and only the data that is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from release.facts import repository_is_made, stack_of
from release.plan import FOLDER, repository_stack
from release.removal_steps import (
    NO_BUCKET,
    await_tasks,
    delete_objects,
    delete_prefect_objects,
    delete_stack,
    pause_pool,
)
from release.steps import Step, aws_call

_GONE = frozenset({"ResourceNotFoundException", "NotFoundException", "KMSInvalidStateException"})
# Resources that the stack retains (DeletionPolicy) and the removal handles.
SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a type's name
KEY = "AWS::KMS::Key"
BUCKET = "AWS::S3::Bucket"
RETAINED = (SECRET, KEY, BUCKET)
KEY_WAITS_DAYS = 30
# sam's own stack, which contains the bucket of `resolve_s3`.
SAM_STACK = "aws-sam-cli-managed-default"


class BucketNotOursError(Exception):
    """A bucket to delete was not made by the stack."""

    def __init__(self, bucket: str, ours: Sequence[str]) -> None:
        made = ", ".join(ours) or "none"
        super().__init__(f"{bucket} is not a bucket of this stack ({made}): it is not deleted")
        self.bucket = bucket


@dataclass(frozen=True)
class Deployed:
    """What exists of a stack.

    The first step stores it in a file, because it can't be found out after the stack is gone.

    Attributes:
        retained: physical ids of resources that the stack retains, by CloudFormation type.
        repository_is_made: whether a release made the image repository.
        sam_bucket: bucket in which sam stores templates and code; empty if there is none.
    """

    stack: str
    outputs: Mapping[str, str]
    retained: Mapping[str, Sequence[str]]
    repository_is_made: bool
    sam_bucket: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises:
            OSError, ValueError, TypeError: the file is missing, or has another version.
        """
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        """Write it into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def note_of(stack: str) -> Path:
    """Return the note file of a stack's removal, relative to the run's folder."""
    return FOLDER / f"undeploy-{stack}.json"


def undeploy_plan(
    deployed: Deployed, *, delete_data: Sequence[str], wait_minutes: float, prefect: bool
) -> list[Step]:
    """Return the steps that remove a stack; each can be repeated.

    `delete_data` names buckets of the stack to delete with their content.

    Raises:
        BucketNotOursError: a bucket was not made by the stack.
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
    write = f"store the facts about the stack in {note}, for a retry"
    steps = [Step(write, [], lambda context: deployed.write(context.folder / note))]
    if prefect:
        steps.append(pause_pool(url, pool))
    # A cluster with tasks can't be deleted.
    steps.append(await_tasks(outputs["ClusterName"], families, wait_minutes))
    steps.append(delete_stack(stack))
    if prefect:
        # After the stack, because its alarms would report them as missing.
        steps.append(delete_prefect_objects(url, pool))
    if deployed.sam_bucket:
        steps.append(delete_objects(deployed.sam_bucket, f"{stack}/"))
    if deployed.repository_is_made:
        steps.append(delete_stack(repository_stack(stack)))
    steps += [_delete_secret(secret) for secret in deployed.retained.get(SECRET, ())]
    steps += [_delete_key(key) for key in deployed.retained.get(KEY, ())]
    for bucket in delete_data:
        steps.append(delete_objects(bucket, ""))
        call = aws_call(
            f"delete the bucket {bucket}", "s3", "delete_bucket", {"Bucket": bucket}, NO_BUCKET
        )
        steps.append(replace(call, shown=[f"aws s3api delete-bucket --bucket {bucket}"]))
    forget = Step(
        f"delete {note}", [], lambda context: (context.folder / note).unlink(missing_ok=True)
    )
    return [*steps, forget]


def describe_retained(
    deployed: Deployed, delete_data: Sequence[str], *, prefect: bool
) -> list[str]:
    """List what remains, with the reasons."""
    lines = [
        f"bucket {bucket} stays with its content (--delete-data {bucket} deletes it)"
        for bucket in deployed.retained.get(BUCKET, ())
        if bucket not in delete_data
    ]
    if not deployed.repository_is_made:
        repository = deployed.outputs["TaskImage"].partition("@")[0]
        lines.append(
            f"image repository {repository} stays, because no release made it: "
            f"aws ecr delete-repository --force --repository-name {repository}"
        )
    if not prefect:
        lines.append(f"Prefect's work pool {deployed.outputs['WorkPoolName']} and deployments stay")
    lines.append(
        "uploads that arrive from now on are not converted; `echodrop reconcile --fix` with a"
    )
    lines.append("later stack on the same inbox finds them")
    return lines


def _delete_secret(secret: str) -> Step:
    # The credential can be made again in Prefect; a secret that waits for deletion blocks its name.
    return aws_call(
        f"delete the secret {secret}",
        "secretsmanager",
        "delete_secret",
        {"SecretId": secret, "ForceDeleteWithoutRecovery": True},
        done_already=_GONE,
    )


def _delete_key(key: str) -> Step:
    return aws_call(
        f"schedule the key {key} for deletion in {KEY_WAITS_DAYS} days; until then it can be restored",
        "kms",
        "schedule_key_deletion",
        {"KeyId": key, "PendingWindowInDays": KEY_WAITS_DAYS},
        done_already=_GONE,
    )


def read_deployed(client: Any, stack: str, folder: Path) -> Deployed | None:  # noqa: ANN401 - boto3 clients
    """Return what exists of a stack, from AWS or, if the stack is gone, from the note; else None.

    Raises:
        ClientError: CloudFormation refuses.
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

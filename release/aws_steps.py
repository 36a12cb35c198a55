"""The steps of a removal on AWS's side. Each is quiet about what is gone already."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from release.steps import Running, StepFailedError

_LOOK_SECONDS = 10.0
_TELL_SECONDS = 60.0
NO_BUCKET = {"NoSuchBucket", "404"}


@dataclass(frozen=True)
class AwaitTasks:
    """Wait until no task of the families is left on the cluster."""

    cluster: str
    families: Sequence[str]
    minutes: float

    @property
    def title(self) -> str:
        """What it does."""
        return f"wait until nothing converts, {self.minutes:g} minutes at most"

    def shown(self) -> list[str]:
        """Return how to look."""
        return [
            f"aws ecs list-tasks --cluster {self.cluster} --family {each}" for each in self.families
        ]

    def run(self, running: Running) -> None:
        """Look every ten seconds, say every minute what is left."""
        ecs = running.client("ecs")
        ends = time.monotonic() + 60 * self.minutes
        says = time.monotonic()
        while tasks := self._tasks(ecs):
            now = time.monotonic()
            if now >= ends:
                stop = "; ".join(
                    f"aws ecs stop-task --cluster {self.cluster} --task {task.rpartition('/')[2]}"
                    for task in tasks[:3]
                )
                remedy = f"give the command again later (--wait is in minutes), or end them: {stop}"
                raise StepFailedError(self.title, f"{len(tasks)} tasks still run", remedy)
            if now >= says:
                running.say(f"      {len(tasks)} tasks still run")
                says += _TELL_SECONDS
            time.sleep(min(_LOOK_SECONDS, max(0.0, ends - now)))

    def _tasks(self, ecs: Any) -> list[str]:  # noqa: ANN401 - boto3's client
        pages = ecs.get_paginator("list_tasks")
        try:
            return [
                task
                for family in self.families
                for page in pages.paginate(
                    cluster=self.cluster, family=family, desiredStatus="RUNNING"
                )
                for task in page["taskArns"]
            ]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ClusterNotFoundException":
                return []
            raise StepFailedError(self.title, str(error)) from error


@dataclass(frozen=True)
class DeleteStack:
    """Delete a CloudFormation stack and wait until it is gone."""

    stack: str

    @property
    def title(self) -> str:
        """What it does."""
        return f"delete the stack {self.stack}, which takes some minutes"

    def shown(self) -> list[str]:
        """Return CloudFormation's commands."""
        return [
            f"aws cloudformation delete-stack --stack-name {self.stack}",
            f"aws cloudformation wait stack-delete-complete --stack-name {self.stack}",
        ]

    def run(self, running: Running) -> None:
        """Delete it; what CloudFormation could not delete is named."""
        cloudformation = running.client("cloudformation")
        try:
            found = cloudformation.describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise StepFailedError(self.title, str(error)) from error
            running.say("      it is gone already")
            return
        # By its id it can still be asked for once it is gone.
        identity = found[0]["StackId"]
        try:
            cloudformation.delete_stack(StackName=identity)
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=identity, WaiterConfig={"Delay": 15, "MaxAttempts": 240})
        except (ClientError, WaiterError) as error:
            raise StepFailedError(
                self.title,
                "; ".join(_undeletable(cloudformation, identity)) or str(error),
                "take the cause away, then give the command again",
            ) from error


def _undeletable(cloudformation: Any, identity: str) -> Iterator[str]:  # noqa: ANN401 - boto3's client
    try:
        events = cloudformation.describe_stack_events(StackName=identity)["StackEvents"]
    except ClientError:
        return
    for event in events:
        if event["ResourceStatus"] == "DELETE_FAILED":
            yield f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason')}"


@dataclass(frozen=True)
class DeleteObjects:
    """Delete every version of every object below a prefix, and what was uploaded in part."""

    bucket: str
    prefix: str

    @property
    def title(self) -> str:
        """What it does."""
        return f"delete all that s3://{self.bucket}/{self.prefix} holds, every version"

    def shown(self) -> list[str]:
        """Return how to look at it."""
        return [f"aws s3api list-object-versions --bucket {self.bucket} --prefix '{self.prefix}'"]

    def run(self, running: Running) -> None:
        """Delete a thousand at a time."""
        s3 = running.client("s3")
        deleted = 0
        said = time.monotonic()
        try:
            pages = s3.get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                if not found:
                    continue
                objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                answer = s3.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
                )
                if refused := answer.get("Errors"):
                    first = f"{refused[0]['Key']}: {refused[0].get('Message', refused[0]['Code'])}"
                    raise StepFailedError(self.title, f"{len(refused)} refused, {first}")
                deleted += len(objects)
                if time.monotonic() - said >= _LOOK_SECONDS:
                    running.say(f"      {deleted:,} deleted so far")
                    said = time.monotonic()
            for page in s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            ):
                for upload in page.get("Uploads", []):
                    s3.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
        except ClientError as error:
            if error.response["Error"]["Code"] in NO_BUCKET:
                running.say("      the bucket is gone already")
                return
            raise StepFailedError(self.title, str(error)) from error
        running.say(f"      {deleted:,} deleted")


@dataclass(frozen=True)
class DeleteBucket:
    """Delete an empty bucket."""

    bucket: str

    @property
    def title(self) -> str:
        """What it does."""
        return f"delete the bucket {self.bucket}"

    def shown(self) -> list[str]:
        """Return AWS's command."""
        return [f"aws s3api delete-bucket --bucket {self.bucket}"]

    def run(self, running: Running) -> None:
        """Delete it."""
        try:
            running.client("s3").delete_bucket(Bucket=self.bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_BUCKET:
                raise StepFailedError(self.title, str(error)) from error
            running.say("      it is gone already")

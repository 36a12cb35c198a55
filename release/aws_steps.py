"""The AWS steps of a removal. Each succeeds if its resource is already gone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from release.steps import StepContext, StepFailedError

_LOOK_SECONDS = 10.0
_REPORT_SECONDS = 60.0
NO_BUCKET = {"NoSuchBucket", "404"}


@dataclass(frozen=True)
class AwaitTasks:
    """Wait until the cluster has no task of the families."""

    cluster: str
    families: Sequence[str]
    minutes: float

    @property
    def title(self) -> str:
        """What the step does."""
        return f"wait until no conversion runs, {self.minutes:g} minutes at most"

    def shown(self) -> list[str]:
        """Return the commands that list the tasks."""
        return [
            f"aws ecs list-tasks --cluster {self.cluster} --family {each}" for each in self.families
        ]

    def run(self, context: StepContext) -> None:
        """Look every ten seconds; report every minute how many tasks are left."""
        ecs = context.client("ecs")
        ends = time.monotonic() + 60 * self.minutes
        next_report = time.monotonic()
        while tasks := self._tasks(ecs):
            now = time.monotonic()
            if now >= ends:
                stop = "; ".join(
                    f"aws ecs stop-task --cluster {self.cluster} --task {task.rpartition('/')[2]}"
                    for task in tasks[:3]
                )
                remedy = (
                    f"repeat the command later (--wait is in minutes), or stop the tasks: {stop}"
                )
                raise StepFailedError(self.title, f"{len(tasks)} tasks still run", remedy)
            if now >= next_report:
                context.say(f"      {len(tasks)} tasks still run")
                next_report += _REPORT_SECONDS
            time.sleep(min(_LOOK_SECONDS, max(0.0, ends - now)))

    def _tasks(self, ecs: Any) -> list[str]:  # noqa: ANN401 - a boto3 client
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
        """What the step does."""
        return f"delete the stack {self.stack}, which takes some minutes"

    def shown(self) -> list[str]:
        """Return the commands of CloudFormation."""
        return [
            f"aws cloudformation delete-stack --stack-name {self.stack}",
            f"aws cloudformation wait stack-delete-complete --stack-name {self.stack}",
        ]

    def run(self, context: StepContext) -> None:
        """Delete it; the error names what CloudFormation could not delete."""
        cloudformation = context.client("cloudformation")
        try:
            found = cloudformation.describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise StepFailedError(self.title, str(error)) from error
            context.say("      it is already gone")
            return
        # A deleted stack can still be read by its id.
        identity = found[0]["StackId"]
        try:
            cloudformation.delete_stack(StackName=identity)
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=identity, WaiterConfig={"Delay": 15, "MaxAttempts": 240})
        except (ClientError, WaiterError) as error:
            raise StepFailedError(
                self.title,
                "; ".join(_undeletable(cloudformation, identity)) or str(error),
                "remove the cause, then repeat the command",
            ) from error


def _undeletable(cloudformation: Any, identity: str) -> Iterator[str]:  # noqa: ANN401 - a boto3 client
    try:
        events = cloudformation.describe_stack_events(StackName=identity)["StackEvents"]
    except ClientError:
        return
    for event in events:
        if event["ResourceStatus"] == "DELETE_FAILED":
            yield f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason')}"


@dataclass(frozen=True)
class DeleteObjects:
    """Delete every version of every object below a prefix, and incomplete uploads."""

    bucket: str
    prefix: str

    @property
    def title(self) -> str:
        """What the step does."""
        return f"delete everything in s3://{self.bucket}/{self.prefix}, every version"

    def shown(self) -> list[str]:
        """Return the command that lists the objects."""
        return [f"aws s3api list-object-versions --bucket {self.bucket} --prefix '{self.prefix}'"]

    def run(self, context: StepContext) -> None:
        """Delete a thousand at a time."""
        s3 = context.client("s3")
        deleted = 0
        last_report = time.monotonic()
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
                if time.monotonic() - last_report >= _LOOK_SECONDS:
                    context.say(f"      {deleted:,} deleted so far")
                    last_report = time.monotonic()
            for page in s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            ):
                for upload in page.get("Uploads", []):
                    s3.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
        except ClientError as error:
            if error.response["Error"]["Code"] in NO_BUCKET:
                context.say("      the bucket is already gone")
                return
            raise StepFailedError(self.title, str(error)) from error
        context.say(f"      {deleted:,} deleted")


@dataclass(frozen=True)
class DeleteBucket:
    """Delete an empty bucket."""

    bucket: str

    @property
    def title(self) -> str:
        """What the step does."""
        return f"delete the bucket {self.bucket}"

    def shown(self) -> list[str]:
        """Return the command of AWS."""
        return [f"aws s3api delete-bucket --bucket {self.bucket}"]

    def run(self, context: StepContext) -> None:
        """Delete it."""
        try:
            context.client("s3").delete_bucket(Bucket=self.bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_BUCKET:
                raise StepFailedError(self.title, str(error)) from error
            context.say("      it is already gone")

"""The steps of a removal, in AWS and in Prefect. Each succeeds if its resource is already gone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from botocore.exceptions import ClientError, WaiterError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment.automations import our_automations
from release.facts import stack_of
from release.steps import Step, StepContext, StepFailedError

_LOOK_SECONDS = 10.0
_REPORT_SECONDS = 60.0
_PAGE = 200
NO_BUCKET = {"NoSuchBucket", "404"}


def await_tasks(cluster: str, families: Sequence[str], minutes: float) -> Step:
    """Wait until the cluster has no task of the families: look every ten seconds, report every minute."""

    def run(context: StepContext) -> None:
        ecs = context.client("ecs")
        ends = time.monotonic() + 60 * minutes
        next_report = time.monotonic()
        while tasks := _tasks(ecs, cluster, families):
            now = time.monotonic()
            if now >= ends:
                stop = "; ".join(
                    f"aws ecs stop-task --cluster {cluster} --task {task.rpartition('/')[2]}"
                    for task in tasks[:3]
                )
                raise StepFailedError(
                    f"{len(tasks)} tasks still run",
                    f"repeat the command later (--wait is in minutes), or stop the tasks: {stop}",
                )
            if now >= next_report:
                context.say(f"      {len(tasks)} tasks still run")
                next_report += _REPORT_SECONDS
            time.sleep(min(_LOOK_SECONDS, max(0.0, ends - now)))

    shown = [f"aws ecs list-tasks --cluster {cluster} --family {each}" for each in families]
    return Step(f"wait until no conversion runs, {minutes:g} minutes at most", shown, run)


def _tasks(ecs: Any, cluster: str, families: Sequence[str]) -> list[str]:  # noqa: ANN401 - a boto3 client
    pages = ecs.get_paginator("list_tasks")
    try:
        return [
            task
            for family in families
            for page in pages.paginate(cluster=cluster, family=family, desiredStatus="RUNNING")
            for task in page["taskArns"]
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ClusterNotFoundException":
            return []
        raise


def delete_stack(stack: str) -> Step:
    """Delete a CloudFormation stack and wait until it is gone; an error names what could not be deleted."""

    def run(context: StepContext) -> None:
        cloudformation = context.client("cloudformation")
        found = stack_of(cloudformation, stack)
        if found is None:
            context.say("      it is already gone")
            return
        # A deleted stack can still be read by its id.
        identity = found["StackId"]
        try:
            cloudformation.delete_stack(StackName=identity)
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=identity, WaiterConfig={"Delay": 15, "MaxAttempts": 240})
        except (ClientError, WaiterError) as error:
            raise StepFailedError(
                "; ".join(_undeletable(cloudformation, identity)) or str(error),
                "remove the cause, then repeat the command",
            ) from error

    shown = [
        f"aws cloudformation delete-stack --stack-name {stack}",
        f"aws cloudformation wait stack-delete-complete --stack-name {stack}",
    ]
    return Step(f"delete the stack {stack}, which takes some minutes", shown, run)


def _undeletable(cloudformation: Any, identity: str) -> Iterator[str]:  # noqa: ANN401 - a boto3 client
    try:
        events = cloudformation.describe_stack_events(StackName=identity)["StackEvents"]
    except ClientError:
        return
    for event in events:
        if event["ResourceStatus"] == "DELETE_FAILED":
            yield f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason')}"


def delete_objects(bucket: str, prefix: str) -> Step:
    """Delete every version of every object below a prefix, and incomplete uploads."""

    def run(context: StepContext) -> None:
        try:
            deleted = _delete_versions(context, bucket, prefix)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_BUCKET:
                raise
            context.say("      the bucket is already gone")
        else:
            context.say(f"      {deleted:,} deleted")

    title = f"delete everything in s3://{bucket}/{prefix}, every version"
    shown = f"aws s3api list-object-versions --bucket {bucket} --prefix '{prefix}'"
    return Step(title, [shown], run)


def _delete_versions(context: StepContext, bucket: str, prefix: str) -> int:
    s3, deleted, last_report = context.client("s3"), 0, time.monotonic()
    place = {"Bucket": bucket, "Prefix": prefix}
    for page in s3.get_paginator("list_object_versions").paginate(**place):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not found:
            continue
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if refused := answer.get("Errors"):
            first = f"{refused[0]['Key']}: {refused[0].get('Message', refused[0]['Code'])}"
            raise StepFailedError(f"{len(refused)} refused, {first}")
        deleted += len(objects)
        if time.monotonic() - last_report >= _LOOK_SECONDS:
            context.say(f"      {deleted:,} deleted so far")
            last_report = time.monotonic()
    for page in s3.get_paginator("list_multipart_uploads").paginate(**place):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return deleted


@contextmanager
def _prefect(url: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        try:
            yield client
        except httpx.HTTPError as error:
            remedy = "prefect cloud login, or --no-prefect if Prefect itself is gone"
            raise StepFailedError(f"{url}: {error}", remedy) from error


def pause_pool(url: str, pool: str) -> Step:
    """Pause the work pool."""

    def run(context: StepContext) -> None:
        with _prefect(url) as client:
            try:
                client.update_work_pool(pool, WorkPoolUpdate(is_paused=True))
            except ObjectNotFound:
                context.say("      it is already gone")

    title = f"pause work pool {pool}, so that no conversion starts"
    return Step(title, [f"prefect work-pool pause {pool}"], run)


def delete_prefect_objects(url: str, pool: str) -> Step:
    """Delete echodrop's automations, the pool's deployments, and the pool; runs and their logs stay."""

    def run(context: StepContext) -> None:
        named = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
        with _prefect(url) as client:
            for name, automation in our_automations(client).items():
                client.delete_automation(automation.id)
                context.say(f"      automation {name} deleted")
            while found := client.read_deployments(work_pool_filter=named, limit=_PAGE):
                for deployment in found:
                    client.delete_deployment(deployment.id)
                    context.say(f"      deployment {deployment.name} deleted")
            try:
                client.delete_work_pool(pool)
            except ObjectNotFound:
                context.say("      the pool is already gone")

    shown = [
        "prefect automation delete NAME    # each one of echodrop",
        f"prefect deployment delete NAME    # each one of work pool {pool}",
        f"prefect work-pool delete {pool}",
    ]
    title = f"delete the automations, the deployments of work pool {pool}, and the pool"
    return Step(title, shown, run)

"""A removal against moto: what is deleted, what stays, and a retry."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from release import terminal
from release.steps import StepContext
from release.undeploy import KEY, SAM_STACK, SECRET, Deployed, note_of, read_deployed

OUTPUTS = {
    "PrefectUrl": "http://127.0.0.1:9/api",
    "WorkPoolName": "pool",
    "TaskFamily": "survey-convert",
    "ClusterName": "survey",
    "TaskImage": "survey@sha256:0",
}
Undeploy = Callable[..., int]


def stack_body(resources: dict[str, Any], outputs: dict[str, str]) -> str:
    return json.dumps(
        {
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
    )


@pytest.fixture
def deployed(session: boto3.Session) -> dict[str, str]:
    """A stack with data, sam's bucket, the repository's stack; return physical ids."""
    s3, cloudformation = session.client("s3"), session.client("cloudformation")
    s3.create_bucket(Bucket="sam-files")
    s3.put_bucket_versioning(Bucket="sam-files", VersioningConfiguration={"Status": "Enabled"})
    for key in ("survey/code", "survey/code", "surveyor/code"):
        s3.put_object(Bucket="sam-files", Key=key, Body=b"zip")
    resources = {
        "Inbox": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "Properties": {
                "BucketName": "survey-inbox",
                "VersioningConfiguration": {"Status": "Enabled"},
            },
        },
        "Key": {
            "Type": KEY,
            "DeletionPolicy": "Retain",
            "Properties": {"Description": "logs", "KeyPolicy": {}},
        },
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "survey-alerts"}},
    }
    cloudformation.create_stack(StackName="survey", TemplateBody=stack_body(resources, OUTPUTS))
    cloudformation.create_stack(
        StackName=SAM_STACK,
        TemplateBody=stack_body(
            {"Any": resources["Topic"] | {"Properties": {}}}, {"SourceBucket": "sam-files"}
        ),
    )
    cloudformation.create_stack(
        StackName="survey-images",
        TemplateBody=stack_body(
            {
                "Images": {
                    "Type": "AWS::ECR::Repository",
                    "Properties": {"RepositoryName": "survey"},
                }
            },
            {},
        ),
    )
    secret = session.client("secretsmanager").create_secret(
        Name="survey/prefect", SecretString="{}"
    )
    s3.put_bucket_versioning(Bucket="survey-inbox", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        s3.put_object(Bucket="survey-inbox", Key="HB0710/a.raw", Body=b"raw")
    found = cloudformation.list_stack_resources(StackName="survey")["StackResourceSummaries"]
    ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}
    return {**ids, "Secret": secret["ARN"]}


@pytest.fixture
def undeploy(running: StepContext, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> Undeploy:
    monkeypatch.setattr(terminal, "say", lines.append)
    monkeypatch.setattr(terminal, "complain", lines.append)
    monkeypatch.setattr(terminal, "terminal_context", lambda: running)

    def call(**options: Any) -> int:
        given = {
            "delete_data": (),
            "wait": 0.0,
            "prefect": False,
            "dry_run": False,
            "yes": True,
            **options,
        }
        return terminal.undeploy(stack="survey", **given)

    return call


def stacks(session: boto3.Session) -> set[str]:
    found = session.client("cloudformation").describe_stacks()["Stacks"]
    return {each["StackName"] for each in found}


def test_everything_but_the_data_is_deleted(
    undeploy: Undeploy, deployed: dict[str, str], session: boto3.Session, lines: list[str]
) -> None:
    assert undeploy() == 0, lines
    assert stacks(session) == {SAM_STACK}
    state = session.client("kms").describe_key(KeyId=deployed["Key"])["KeyMetadata"]["KeyState"]
    assert state == "PendingDeletion"
    s3 = session.client("s3")
    left = s3.list_object_versions(Bucket="sam-files")["Versions"]
    # The name of another stack may begin with this name.
    assert {each["Key"] for each in left} == {"surveyor/code"}
    assert len(s3.list_object_versions(Bucket="survey-inbox")["Versions"]) == 3
    assert any(line.startswith("bucket survey-inbox stays") for line in lines)


def test_a_dry_run_deletes_nothing(
    undeploy: Undeploy, deployed: dict[str, str], session: boto3.Session, running: StepContext
) -> None:
    assert undeploy(dry_run=True, yes=False) == 0
    assert stacks(session) == {"survey", "survey-images", SAM_STACK}
    assert not (running.folder / note_of("survey")).exists()


def test_a_named_bucket_is_deleted_with_every_version(
    undeploy: Undeploy, deployed: dict[str, str], session: boto3.Session
) -> None:
    assert undeploy(delete_data=("survey-inbox",)) == 0
    names = {each["Name"] for each in session.client("s3").list_buckets()["Buckets"]}
    assert names == {"sam-files"}


def test_a_foreign_bucket_stops_the_removal_before_the_first_step(
    undeploy: Undeploy, deployed: dict[str, str], session: boto3.Session, lines: list[str]
) -> None:
    assert undeploy(delete_data=("sam-files",)) == 2
    assert any("sam-files is not a bucket of this stack" in line for line in lines)
    assert "survey" in stacks(session)


@pytest.mark.parametrize("answer", ["", "yes", "echodrop"])
def test_only_the_stack_s_name_confirms(
    *,
    undeploy: Undeploy,
    deployed: dict[str, str],
    session: boto3.Session,
    answer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert undeploy(yes=False) == 1
    assert "survey" in stacks(session)
    monkeypatch.setattr("builtins.input", lambda _: "survey")
    assert undeploy(yes=False) == 0
    assert "survey" not in stacks(session)


def test_without_a_terminal_nothing_is_confirmed(
    *,
    undeploy: Undeploy,
    deployed: dict[str, str],
    session: boto3.Session,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert undeploy(yes=False) == 1
    assert any("--yes" in line for line in lines)
    assert "survey" in stacks(session)


def test_running_conversions_are_awaited_and_named(
    undeploy: Undeploy, deployed: dict[str, str], session: boto3.Session, lines: list[str]
) -> None:
    ecs = session.client("ecs")
    ecs.create_cluster(clusterName="survey")
    subnet = session.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    ecs.register_task_definition(
        family="survey-convert",
        networkMode="awsvpc",
        containerDefinitions=[{"name": "prefect", "image": "i", "memory": 64}],
    )
    task = ecs.run_task(
        cluster="survey",
        taskDefinition="survey-convert",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}},
    )["tasks"][0]["taskArn"]
    assert undeploy() == 1
    said = "\n".join(lines)
    assert "1 tasks still run" in said
    assert task.rpartition("/")[2] in said
    assert "survey" in stacks(session)
    ecs.stop_task(cluster="survey", task=task)
    assert undeploy() == 0


def test_a_retry_resumes_where_the_first_attempt_ended(
    undeploy: Undeploy, deployed: dict[str, str], session: boto3.Session, running: StepContext
) -> None:
    found = read_deployed(running.client, "survey", running.folder)
    assert found is not None
    assert found.retained[KEY] == [deployed["Key"]]
    # The first attempt deleted the stack.
    rest = Deployed(
        found.stack,
        found.outputs,
        {**found.retained, SECRET: [deployed["Secret"]]},
        found.repository_is_made,
        found.sam_bucket,
    )
    rest.write(running.folder / note_of("survey"))
    session.client("cloudformation").delete_stack(StackName="survey")
    assert undeploy() == 0
    assert stacks(session) == {SAM_STACK}
    assert session.client("secretsmanager").list_secrets()["SecretList"] == []
    # Nothing is left, and the command reports that.
    assert undeploy() == 2


def test_a_stack_that_never_existed_is_reported(undeploy: Undeploy, lines: list[str]) -> None:
    assert undeploy() == 2
    assert any("there is no stack survey" in line for line in lines)

"""The plans of a release and of a removal, as lists of steps."""

import shlex

import pytest

from release.code_version import CodeVersion
from release.plan import ImageWork, deploy_plan, quoted
from release.steps import Step, program
from release.undeploy import (
    BUCKET,
    KEY,
    RETAINED,
    SECRET,
    BucketNotOursError,
    Deployed,
    describe_retained,
    undeploy_plan,
)
from tests.template.stacks import source_template

WORK = ImageWork(
    stack="survey",
    registry="1.dkr.ecr.us-east-1.amazonaws.com",
    repository="survey",
    ours=True,
    code=CodeVersion("0.1.0-abc", "c0ffee"),
    architecture="ARM64",
)
DEPLOYED = Deployed(
    stack="survey",
    outputs={
        "PrefectUrl": "http://prefect/api",
        "WorkPoolName": "pool",
        "TaskFamily": "survey-convert",
        "ClusterName": "survey",
        "TaskImage": "survey@sha256:0",
    },
    retained={SECRET: ["secret"], KEY: ["key"], BUCKET: ["inbox", "output"]},
    repository_is_made=True,
    sam_bucket="sam-files",
)


def shown(steps: list[Step]) -> str:
    return "\n".join(line for step in steps for line in step.shown)


def order(steps: list[Step], *words: str) -> list[int]:
    lines = [shown([step]) for step in steps]
    return [next(i for i, line in enumerate(lines) if word in line) for word in words]


def undeploy(**options: object) -> list[Step]:
    given = {"delete_data": (), "wait_minutes": 5.0, "prefect": True, **options}
    return undeploy_plan(DEPLOYED, **given)  # type: ignore[arg-type]  # the options under test


def test_a_release_goes_from_checks_to_the_check_of_the_whole() -> None:
    steps = deploy_plan(WORK, {"AlertEmail": "a@b.org"}, ask=True, check=True)
    places = order(
        steps,
        "checks/run",
        "repository.yaml",
        "docker login",
        "--target task",
        "--target worker",
        "sam build",
        "--stack-name survey --s3-prefix survey --confirm-changeset",
        "echodrop deploy --stack survey",
    )
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_the_pushed_digests_are_deployed() -> None:
    deploying = shown(deploy_plan(WORK, {}, ask=False, check=False))
    assert 'TaskImageDigest="<task_digest>"' in deploying
    assert 'WorkerImageDigest="<worker_digest>"' in deploying
    assert "--no-confirm-changeset" in deploying
    assert "checks/run" not in deploying


def test_an_image_of_this_code_is_not_built_again() -> None:
    work = ImageWork(**{**WORK.__dict__, "pushed": {"task": "sha256:1"}})
    plan = shown(deploy_plan(work, {}, ask=True, check=True))
    assert "--target task" not in plan
    assert "--target worker" in plan
    assert "task-0.1.0-abc-arm64 is in the repository: sha256:1" in plan


def test_a_foreign_repository_is_not_changed() -> None:
    work = ImageWork(**{**WORK.__dict__, "ours": False})
    assert "repository.yaml" not in shown(deploy_plan(work, {}, ask=True, check=True))


def test_a_tag_says_code_and_processor_and_the_labels_say_the_commit() -> None:
    plan = shown(deploy_plan(WORK, {}, ask=True, check=True))
    assert "survey:task-0.1.0-abc-arm64" in plan
    assert "--platform linux/arm64" in plan
    assert "org.opencontainers.image.revision=c0ffee" in plan


@pytest.mark.parametrize("value", ["", "HB 0710/=6,gliders/=48", 'a"b', "back\\slash"])
def test_every_value_is_quoted_for_sam(value: str) -> None:
    # sam parses it like a shell; without quotes it rejects an empty value.
    (word,) = shlex.split(quoted("Name", value))
    assert word == f"Name={value}"
    assert quoted("Name", "") == 'Name=""'


def test_a_removal_drains_before_it_deletes_and_asks_prefect_last() -> None:
    steps = undeploy()
    places = order(
        steps,
        "work-pool pause",
        "--family survey-convert",
        "delete-stack --stack-name survey\n",
        "work-pool delete pool",
        "--bucket sam-files --prefix 'survey/'",
        "delete-stack --stack-name survey-images",
        "delete-secret",
        "schedule-key-deletion",
    )
    assert places == sorted(places)


def test_only_named_data_are_deleted() -> None:
    for bucket in ("inbox", "output"):
        assert f"--bucket {bucket}" not in shown(undeploy())
    plan = shown(undeploy(delete_data=("output",)))
    assert "delete-bucket --bucket output" in plan
    assert "--bucket inbox" not in plan
    kept = describe_retained(DEPLOYED, ("output",), prefect=True)
    assert any(line.startswith("bucket inbox stays") for line in kept)
    assert not any("bucket output" in line for line in kept)


def test_a_bucket_that_the_stack_did_not_make_is_never_deleted() -> None:
    with pytest.raises(BucketNotOursError, match="survey-raw is not a bucket of this stack"):
        undeploy(delete_data=("survey-raw",))


def test_prefect_can_be_left_out_and_is_then_named() -> None:
    assert "prefect" not in shown(undeploy(prefect=False))
    assert any("work pool pool" in line for line in describe_retained(DEPLOYED, (), prefect=False))


def test_everything_that_the_stack_retains_has_a_step_or_is_data() -> None:
    kept = {
        resource["Type"]
        for resource in source_template()["Resources"].values()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert kept <= set(RETAINED)
    plan = shown(undeploy(delete_data=("inbox", "output")))
    for ids in DEPLOYED.retained.values():
        for each in ids:
            assert each in plan


def test_a_dry_run_shows_the_commands_that_a_run_executes() -> None:
    assert program("say", ("echo", "{task_digest}", "a b")).shown == ["echo '<task_digest>' 'a b'"]

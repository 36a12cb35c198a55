"""ECS says which runs have a task, by the tags of the tasks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operations.clients.ecs_tasks import EcsTasks
from operations.findings.findings import RunFacts
from sandbox.aws.aws_resources import keep_tasks_running


@pytest.fixture
def cluster(aws: Callable[[str], Any], aws_url: str) -> str:
    keep_tasks_running(aws_url)
    name = f"cluster-{uuid.uuid4().hex}"
    aws("ecs").create_cluster(clusterName=name)
    aws("ecs").register_task_definition(
        family=name, containerDefinitions=[{"name": "prefect", "image": "x", "memory": 512}]
    )
    return name


def launch(ecs: Any, cluster: str, run_id: str) -> str:
    vpc = {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}
    (task,) = ecs.run_task(
        cluster=cluster,
        taskDefinition=cluster,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": vpc},
        tags=[{"key": "prefect.io/flow-run-id", "value": run_id}],
    )["tasks"]
    return str(task["taskArn"])


def run(run_id: str, state: str = "RUNNING", pool: str = "pool") -> RunFacts:
    now = datetime.now(UTC)
    return RunFacts(run_id, "state", state, state.title(), "", 1, now, work_pool=pool)


def test_a_run_has_a_task_until_it_is_stopped(aws: Callable[[str], Any], cluster: str) -> None:
    ecs = aws("ecs")
    tasks = EcsTasks(ecs, {"pool": cluster}.get)
    arns = {name: launch(ecs, cluster, name) for name in ("living", "stopped")}
    ecs.stop_task(cluster=cluster, task=arns["stopped"])
    asked = [run("living", "PENDING"), run("stopped"), run("never there", "CRASHED")]
    assert tasks.of(asked) == {"living": True, "stopped": False, "never there": False}


def test_a_run_that_names_a_cluster_of_its_own_is_looked_for_there(
    aws: Callable[[str], Any], cluster: str
) -> None:
    ecs = aws("ecs")
    launch(ecs, cluster, "elsewhere")
    elsewhere = replace(run("elsewhere"), cluster=cluster)
    ecs.create_cluster(clusterName="of-the-pool")
    found = EcsTasks(ecs, {"pool": "of-the-pool"}.get).of([elsewhere, run("here")])
    assert found == {"elsewhere": True, "here": False}


def test_without_access_to_a_cluster_its_tasks_are_unknown() -> None:
    class RefusingEcs:
        def get_paginator(self, _: str) -> RefusingEcs:
            return self

        def paginate(self, cluster: str, **_: str) -> list[dict[str, list[str]]]:
            if cluster == "theirs":
                raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListTasks")
            return []

    ecs: Any = RefusingEcs()
    theirs = replace(run("theirs"), cluster="theirs")
    assert EcsTasks(ecs, {"pool": "ours"}.get).of([theirs, run("ours")]) == {"ours": False}
    with pytest.raises(ClientError):
        EcsTasks(ecs, {"pool": "theirs"}.get).of([theirs])


def test_all_tasks_of_a_large_cluster_are_seen(aws: Callable[[str], Any], cluster: str) -> None:
    names = [f"run {number}" for number in range(103)]
    for name in names:
        launch(aws("ecs"), cluster, name)
    found = EcsTasks(aws("ecs"), {"pool": cluster}.get).of([run(name) for name in names])
    assert found == dict.fromkeys(names, True)


def test_ecs_is_not_asked_about_runs_that_need_no_task_or_use_another_pool() -> None:
    tasks = EcsTasks(None, {"pool": None}.get)  # type: ignore[arg-type]  # it must not be asked
    assert tasks.of([run("here", pool="pool"), run("by hand", pool="")]) == {}
    assert tasks.of([run("done", "COMPLETED"), run("waits", "SCHEDULED")]) == {}

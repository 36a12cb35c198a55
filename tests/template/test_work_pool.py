"""With the stack's pool template, the worker requests each run from ECS with the run's size."""

import asyncio
import json
import logging
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, temporary_settings
from prefect_aws.workers.ecs_worker import ECSJobConfiguration, ECSWorker

from flows.deployment.work_pool_template import StackOutputsError, base_job_template
from lambda_trigger.decisions.rules_document import PrefixRule
from lambda_trigger.decisions.run_identity import run_name
from sandbox.stack.template import Stack
from task_sizes import LARGE, STANDARD
from tests.template.stacks import EXISTING, MADE

PLANTED = "pnu_planted-in-the-worker"
SIZES = [(size.cpu, size.memory, size.ephemeral_storage) for size in (STANDARD, LARGE)]


@pytest.fixture
def ecs() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }.items():
            patch.setenv(name, value)
        yield boto3.client("ecs")


def deploy(ecs: Any, stack: Stack) -> dict[str, str]:
    """Create what the stack creates, as far as the worker needs it; return its outputs."""
    ecs.register_task_definition(**stack.task_definition("ConversionTask"))
    outputs = stack.outputs()
    ecs.create_cluster(clusterName=outputs["ClusterName"])
    # Unlike the stack, moto already has a network.
    subnets = boto3.client("ec2").describe_subnets()["Subnets"]
    return outputs | {"Subnets": ",".join(subnet["SubnetId"] for subnet in subnets[:2])}


@cache
def absent_server() -> PrefectClient:
    """Return an unused client: the template refers to no block of the server."""
    return PrefectClient("http://127.0.0.1:9/api")


def run(
    worker: ECSWorker,
    ecs: Any,
    template: dict[str, Any],
    values: dict[str, Any],
    name: str = "run",
) -> str:
    made: Any = ECSJobConfiguration.from_template_and_values(
        template, values, client=absent_server()
    )
    configuration: ECSJobConfiguration = asyncio.run(made)
    flow_run = FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), deployment_id=uuid.uuid4(), name=name)
    configuration.prepare_for_flow_run(flow_run)
    task, *_ = worker._prepare_and_create_task(
        logging.getLogger("worker"), ecs, configuration, flow_run
    )
    return str(task)


def task(ecs: Any, cluster: str, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]
    return found


@pytest.mark.slow
def test_many_runs_of_all_sizes_create_no_revision(ecs: Any) -> None:
    stack = Stack.read(MADE)
    outputs = deploy(ecs, stack)
    template = base_job_template(outputs)
    worker = ECSWorker("echodrop")
    asked: Counter[tuple[str, str, int]] = Counter()
    # Each run has a deployment of its own, so that none finds what the worker keeps of another.
    each = 5
    for number in range(each * len(SIZES)):
        cpu, memory, disk = SIZES[number % len(SIZES)]
        values = {"cpu": cpu, "memory": memory, "ephemeral_storage": disk}
        with temporary_settings({PREFECT_API_KEY: PLANTED}):
            arn = run(worker, ecs, template, values)
        overrides = task(ecs, outputs["ClusterName"], arn)["overrides"]
        asked[
            overrides["cpu"], overrides["memory"], overrides["ephemeralStorage"]["sizeInGiB"]
        ] += 1
    assert asked == {(str(cpu), str(memory), disk): each for cpu, memory, disk in SIZES}
    assert len(ecs.list_task_definitions()["taskDefinitionArns"]) == 1


@pytest.mark.parametrize(
    ("parameters", "setting"),
    [(MADE, PREFECT_API_KEY), (EXISTING, PREFECT_API_AUTH_STRING)],
    ids=["api key", "user and password"],
)
def test_the_worker_keeps_its_credential(
    ecs: Any, parameters: dict[str, str], setting: Any
) -> None:
    stack = Stack.read(parameters)
    outputs = deploy(ecs, stack)
    with temporary_settings({setting: PLANTED}):
        arn = run(ECSWorker("echodrop"), ecs, base_job_template(outputs), {})
    asked = task(ecs, outputs["ClusterName"], arn)
    assert PLANTED not in json.dumps(asked, default=str)
    assert asked["overrides"]["containerOverrides"][0]["command"] == [
        "python",
        "-m",
        "flows.runs.execute_run",
    ]


def test_without_the_secret_s_name_it_would_reveal_it(ecs: Any) -> None:
    stack = Stack.read(MADE)
    outputs = deploy(ecs, stack) | {"PrefectSecretKey": "none"}
    with temporary_settings({PREFECT_API_KEY: PLANTED}):
        arn = run(ECSWorker("echodrop"), ecs, base_job_template(outputs), {})
    asked = task(ecs, outputs["ClusterName"], arn)
    assert PLANTED in json.dumps(asked, default=str)


def test_ecs_accepts_the_tags_of_a_task(ecs: Any) -> None:
    stack = Stack.read(MADE)
    outputs = deploy(ecs, stack)
    rule = PrefixRule("", "convert-raw-sonar/ecs", "zarr", "")
    name = run_name(f"{'Forschungsreise Nº/' * 30}{'Gerät ½ & Kurs ' * 10}.raw", "EK80", rule)
    with temporary_settings({PREFECT_API_KEY: PLANTED}):
        arn = run(ECSWorker("echodrop"), ecs, base_job_template(outputs), {}, name)
    (described,) = ecs.describe_tasks(
        cluster=outputs["ClusterName"], tasks=[arn], include=["TAGS"]
    )["tasks"]
    tags = {each["key"]: each["value"] for each in described["tags"]}
    assert "prefect.io/flow-run-name" in tags
    # "Tag restrictions", Amazon ECS developer guide.
    allowed = re.compile(r"[a-zA-Z0-9 +\-=._:/@]*")
    for key, value in tags.items():
        assert len(key) <= 128
        assert len(value) <= 256, key
        assert allowed.fullmatch(key + value), key
    assert len(tags) <= 50


def test_a_run_without_a_size_gets_the_standard_one(ecs: Any) -> None:
    stack = Stack.read(MADE)
    outputs = deploy(ecs, stack)
    with temporary_settings({PREFECT_API_KEY: PLANTED}):
        arn = run(ECSWorker("echodrop"), ecs, base_job_template(outputs), {})
    overrides = task(ecs, outputs["ClusterName"], arn)["overrides"]
    assert (overrides["cpu"], overrides["memory"]) == ("1024", "4096")


def test_a_stack_of_an_older_version_is_reported() -> None:
    outputs = Stack.read(MADE).outputs()
    del outputs["TaskFamily"]
    with pytest.raises(StackOutputsError, match="TaskFamily"):
        base_job_template(outputs)

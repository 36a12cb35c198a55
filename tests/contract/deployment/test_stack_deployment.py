"""Registering a stack with a real Prefect server, and what the check finds missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flows.stack_deployment import deploy
from sandbox.aws_resources import registrable
from sandbox.template import UNUSED_PARAMETERS, Stack

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")

ROOT = Path(__file__).resolve().parents[3]
STACK = "echodrop"
POOL = "registered-pool"


class Account:
    """Moto, with what a stack's check looks at."""

    def __init__(self, api_url: str) -> None:
        self.told: dict[str, Any] | None = None
        parameters = UNUSED_PARAMETERS | {
            "PrefectApiUrl": api_url,
            "PrefectAuth": "none",
            "WorkPool": POOL,
        }
        self.stack = Stack.read(parameters)
        self.outputs = self.stack.outputs()
        sqs, ecs = self.client("sqs"), self.client("ecs")
        sqs.create_queue(QueueName=self.outputs["ObserverQueue"])
        definition = registrable(self.stack.task_definition("ConversionTask"))
        ecs.register_task_definition(**definition)
        ecs.create_cluster(clusterName=self.outputs["ClusterName"])
        ecs.create_service(
            cluster=self.outputs["ClusterName"],
            serviceName=self.outputs["WorkerServiceName"],
            taskDefinition=definition["family"],
            desiredCount=0,
        )
        self.client("s3").create_bucket(Bucket=self.outputs["Inbox"])
        template = {
            "Resources": {"Any": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {name: {"Value": value} for name, value in self.outputs.items()},
        }
        self.client("cloudformation").create_stack(
            StackName=STACK, TemplateBody=json.dumps(template)
        )

    def client(self, service: str) -> Any:
        if service == "s3" and self.told is not None:
            # moto forgets that EventBridge is told: its settings are empty.
            return SimpleNamespace(get_bucket_notification_configuration=lambda **_: self.told)
        return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]  # the stubs want a literal

    def deploy(self, **options: Any) -> tuple[bool, str]:
        lines: list[str] = []
        good = deploy(self.client, STACK, lines.append, **options)
        return good, "\n".join(lines)


@pytest.fixture
def account(prefect_api_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Account(prefect_api_url)


@pytest.fixture(autouse=True)
def _unregistered(prefect_api: Callable[..., Any], prefect_api_url: str) -> Iterator[None]:
    yield
    for pool in prefect_api("POST", "/work_pools/filter", {}):
        if pool["name"] == POOL:
            prefect_api("DELETE", f"/work_pools/{POOL}")
    for deployment in prefect_api("POST", "/deployments/filter", {}):
        if deployment["name"] == "ecs" and deployment["work_pool_name"] in {POOL, None}:
            prefect_api("DELETE", f"/deployments/{deployment['id']}")


def test_a_dry_run_writes_nothing(account: Account, prefect_api: Callable[..., Any]) -> None:
    good, said = account.deploy(dry_run=True)
    assert not good
    assert f"would create work pool {POOL}" in said
    assert POOL not in {pool["name"] for pool in prefect_api("POST", "/work_pools/filter", {})}


def test_registering_twice_writes_once(account: Account, prefect_api: Callable[..., Any]) -> None:
    _, first = account.deploy()
    _, second = account.deploy()
    assert f"create work pool {POOL} of type ecs" in first
    assert second.startswith("nothing to change")
    pool = prefect_api("GET", f"/work_pools/{POOL}")
    defaults = pool["base_job_template"]["variables"]["properties"]
    assert defaults["task_family"]["default"] == account.outputs["TaskFamily"]
    assert defaults["cluster"]["default"] == account.outputs["ClusterName"]


def test_what_is_missing_is_said_with_what_mends_it(account: Account) -> None:
    account.deploy()
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=account.outputs["ObserverQueue"])["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)
    good, said = account.deploy(only_check=True)
    assert not good
    problems = [line for line in said.splitlines() if line.startswith("MISSING")]
    assert any("observer's queue" in line for line in problems)
    assert any("worker: none has ever polled" in line for line in problems)
    assert any("wants no worker" in line for line in problems)
    assert any("does not tell EventBridge" in line for line in problems)
    assert len(problems) == 4
    assert "sam deploy --stack-name echodrop" in said
    assert f"ok       task definition {account.outputs['TaskFamily']}" in said


def test_nothing_is_missing_from_a_system_that_runs(
    account: Account, prefect_api: Callable[..., Any]
) -> None:
    account.deploy()
    outputs = account.outputs
    account.told = {"EventBridgeConfiguration": {}}
    account.client("ecs").update_service(
        cluster=outputs["ClusterName"], service=outputs["WorkerServiceName"], desiredCount=1
    )
    prefect_api("POST", f"/work_pools/{POOL}/workers/heartbeat", {"name": "worker"})
    good, said = account.deploy()
    assert good, said
    assert "MISSING" not in said


def test_a_paused_pool_is_told(account: Account, prefect_api: Callable[..., Any]) -> None:
    account.deploy()
    prefect_api("PATCH", f"/work_pools/{POOL}", {"is_paused": True})
    _, said = account.deploy(only_check=True)
    assert f"MISSING  work pool {POOL}: is paused" in said


def test_prefect_s_own_command_registers_the_same(
    account: Account, prefect_api_url: str, tmp_path: Path
) -> None:
    account.deploy()
    text = (ROOT / "prefect.yaml").read_text()
    assert "\n      name: echodrop\n" in text
    (tmp_path / "prefect.yaml").write_text(
        text.replace("      name: echodrop", f"      name: {POOL}")
    )
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PREFECT_API_URL": prefect_api_url,
        "PREFECT_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, said = account.deploy(dry_run=True)
    assert said.startswith("nothing to change"), said

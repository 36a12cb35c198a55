"""Registering a stack with a real Prefect server, and what the check finds missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.deployment.automations import read_automations
from flows.deployment.deployment_specs import DeploymentSpec
from flows.deployment.deployments import DeploymentTakenError
from flows.deployment.work_pool_template import StackOutputsError
from operations.reconcile.reconcile_flow import reconcile_specs
from sandbox.parts.ports import HOST, free_port
from tests.contract.deployment.account import POOL, STACK, Account
from tests.contract.deployment.blocks import make_webhook_block

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def webhook_block(prefect_api: Callable[..., Any]) -> Iterator[str]:
    """The name of a webhook's block on the server, which nothing calls."""
    made = make_webhook_block(prefect_api, "checked", f"http://{HOST}:9/")
    yield "webhook/checked"
    for automation in prefect_api("POST", "/automations/filter", {}):
        prefect_api("DELETE", f"/automations/{automation['id']}")
    prefect_api("DELETE", f"/block_documents/{made}")


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


def test_what_is_missing_is_said_with_what_repairs_it(account: Account) -> None:
    account.deploy()
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=account.outputs["ObserverQueue"])["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)
    good, said = account.deploy(only_check=True)
    assert not good
    problems = [line for line in said.splitlines() if line.startswith("MISSING")]
    assert any("observer's queue" in line for line in problems)
    assert any("worker: no worker has ever polled" in line for line in problems)
    assert any("its desired count is 0" in line for line in problems)
    assert any("does not send events to EventBridge" in line for line in problems)
    assert len(problems) == 4
    assert "sam deploy --stack-name echodrop" in said
    assert f"ok       task definition {account.outputs['TaskFamily']}" in said


def test_nothing_is_missing_from_a_system_that_runs(
    account: Account, prefect_api: Callable[..., Any]
) -> None:
    account.deploy()
    account.notifications = {"EventBridgeConfiguration": {}}
    account.want_worker()
    prefect_api("POST", f"/work_pools/{POOL}/workers/heartbeat", {"name": "worker"})
    good, said = account.deploy()
    assert good, said
    assert "MISSING" not in said


def test_what_is_not_registered_is_reported_with_what_registers_it(
    account: Account, prefect_api: Callable[..., Any]
) -> None:
    account.deploy()
    prefect_api("DELETE", f"/work_pools/{POOL}/queues/backfill")
    found = prefect_api("GET", "/deployments/name/convert-raw-sonar-batch/ecs")
    prefect_api("DELETE", f"/deployments/{found['id']}")
    of_operations = DeploymentSpec(
        "flows.convert_raw_sonar.convert_raw_sonar",
        "ecs",
        job_variables={"task_family": "echodrop-operations"},
    )
    good, said = account.deploy(only_check=True, more=(of_operations,))
    lines = said.splitlines()
    assert not good
    for subject in ("work queue backfill", "deployment convert-raw-sonar-batch/ecs"):
        at = lines.index(f"MISSING  {subject}: does not exist")
        assert lines[at + 1].strip() == f"echodrop deploy --stack {STACK}"
    assert any(line.startswith("MISSING  task definition echodrop-operations") for line in lines)
    account.deploy()
    _, said = account.deploy(only_check=True)
    assert "ok       work queue backfill" in said


def test_automations_are_registered_and_looked_at_where_a_block_is_named(
    account: Account, prefect_api: Callable[..., Any], webhook_block: str
) -> None:
    _, said = account.deploy()
    assert "no Prefect automations: NotifyBlock is empty" in said
    account.update(NotifyBlock=webhook_block)
    _, said = account.deploy(only_check=True)
    first, second = (each.name for each in read_automations()[:2])
    assert f"MISSING  automation '{first}': does not exist" in said
    _, said = account.deploy()
    assert f"create automation {first}" in said
    assert f"ok       automation '{first}'" in said
    found = {each["name"]: each["id"] for each in prefect_api("POST", "/automations/filter", {})}
    prefect_api("PATCH", f"/automations/{found[first]}", {"enabled": False})
    prefect_api("DELETE", f"/automations/{found[second]}")
    _, said = account.deploy(only_check=True)
    lines = said.splitlines()
    at = lines.index(f"MISSING  automation '{first}': is switched off")
    assert lines[at + 1].strip() == f"prefect automation resume '{first}'"
    at = lines.index(f"MISSING  automation '{second}': does not exist")
    assert lines[at + 1].strip() == f"echodrop deploy --stack {STACK}"


def test_lanes_that_the_quota_cannot_run_are_reported_with_what_raises_it(account: Account) -> None:
    _, said = account.deploy()
    assert "NOTE     Fargate quota of 6 vCPU for 4 live and 1 backfill conversions" in said
    account.update(LiveConcurrency="100", BackfillConcurrency="20")
    good, said = account.deploy(only_check=True)
    assert not good
    assert "MISSING  Fargate quota of 6 vCPU for 100 live and 20 backfill conversions" in said
    assert "--quota-code L-3032A538 --desired-value 121" in said
    assert "NOTE     brake at 1000 runs an hour: full lanes start up to 8640" in said
    account.quota = 4000.0
    _, said = account.deploy(only_check=True)
    assert "ok       Fargate quota of 4000 vCPU" in said


def test_the_inbox_is_connected_by_the_step_that_the_check_names(account: Account) -> None:
    _, said = account.deploy(connect=True, dry_run=True)
    assert said.startswith("would ")
    assert f"would send events of inbox {account.outputs['Inbox']} to EventBridge" in said
    _, said = account.deploy(connect=True)
    assert f"\nsend events of inbox {account.outputs['Inbox']} to EventBridge; its 0 other" in said


def test_a_server_that_does_not_answer_is_reported(account: Account) -> None:
    account.update(PrefectUrl=f"http://{HOST}:{free_port()}/api")
    good, said = account.deploy(only_check=True)
    assert not good
    assert said.startswith("MISSING  Prefect's API at ")
    assert "prefect cloud login" in said


def test_a_stack_of_an_older_version_is_reported(account: Account) -> None:
    account.update(NotifyBlock=None)
    with pytest.raises(StackOutputsError, match="no output NotifyBlock: deploy it again"):
        account.deploy(only_check=True)


def test_another_stack_s_deployments_are_left_to_it(
    account: Account, prefect_api: Callable[..., Any]
) -> None:
    account.deploy()
    account.update(WorkPoolName="another-pool")
    try:
        with pytest.raises(
            DeploymentTakenError, match=f"belongs to work pool {POOL}, not another-"
        ):
            account.deploy()
        found = prefect_api("GET", "/deployments/name/convert-raw-sonar/ecs")
        assert found["work_pool_name"] == POOL
    finally:
        prefect_api("DELETE", "/work_pools/another-pool")


def test_a_paused_pool_is_reported(account: Account, prefect_api: Callable[..., Any]) -> None:
    account.deploy()
    prefect_api("PATCH", f"/work_pools/{POOL}", {"is_paused": True})
    _, said = account.deploy(only_check=True)
    assert f"MISSING  work pool {POOL}: is paused" in said


def test_prefect_s_own_command_registers_the_same(
    account: Account, prefect_api: Callable[..., Any], prefect_api_url: str, tmp_path: Path
) -> None:
    reconciliation = reconcile_specs(STACK)
    # The pool is ours to make, the deployments are left to the other command.
    account.deploy(more=reconciliation)
    for deployment in prefect_api("POST", "/deployments/filter", {}):
        if deployment["work_pool_name"] == POOL:
            prefect_api("DELETE", f"/deployments/{deployment['id']}")
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
    _, said = account.deploy(more=reconciliation, dry_run=True)
    assert said.startswith("nothing to change"), said

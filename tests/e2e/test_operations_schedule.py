"""The scheduled reconciliation, as a deployment with its own task definition and report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.deployment.stack_deployment import register_stack, stack_outputs
from operations.reconcile.reconcile_flow import reconcile_specs
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from sandbox.system import Sandbox
from tests.sandbox_inbox import SandboxInbox

pytestmark = pytest.mark.xdist_group("sandbox")
PREFIX = "scheduled/"


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox) -> Iterator[str]:
    """Register the deployment as `echodrop deploy` does; return its id."""
    stack = sandbox.names.cluster
    outputs = stack_outputs(sandbox.client("cloudformation"), stack)
    hourly, _ = reconcile_specs(stack)
    said: list[str] = []
    register_stack(outputs, said.append, more=(hourly,))
    assert said == [
        "create deployment reconcile-inbox/ecs",
        "no Prefect automations: NotifyBlock is empty",
    ]
    found = sandbox.api.request("GET", "/deployments/name/reconcile-inbox/ecs")
    assert [each["schedule"]["cron"] for each in found["schedules"]] == ["7 * * * *"]
    yield found["id"]
    # Its schedule would fix the faults that other tests create.
    sandbox.api.request("DELETE", f"/deployments/{found['id']}")


def run(sandbox: Sandbox, deployment: str) -> tuple[str, str, list[dict[str, Any]]]:
    """Run it now; return the id of the run, the name of its state, and the lines of its report."""
    asked = {"parameters": {"prefix": PREFIX, "grace_minutes": 0}}
    made = sandbox.api.request("POST", f"/deployments/{deployment}/create_flow_run", asked)
    end = wait_until(
        lambda: (found := sandbox.api.flow_run(made["id"])).is_final and found,
        180,
        "the reconciliation to end",
        every=0.5,
    )
    assert end.state_type == "COMPLETED", end.message
    assert "the catalogue is not up to date" not in end.message
    place = end.message.partition("report ")[2].partition(";")[0]
    bucket, _, key = place.removeprefix("s3://").partition("/")
    assert bucket == sandbox.names.output_bucket
    assert key.startswith(".echodrop/reconcile/20")
    body = sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return made["id"], end.state_name, [json.loads(line) for line in body.splitlines()]


def test_the_schedule_fixes_lost_uploads_and_signals_the_others(
    sandbox: Sandbox, inbox: SandboxInbox, deployment: str, tmp_path: Path
) -> None:
    key = f"{PREFIX}lost.raw"
    s3, bucket = sandbox.client("s3"), sandbox.names.inbox_bucket
    off: dict[str, Any] = {}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=off)
    inbox.drop(write_sample(tmp_path / "lost.raw", pings=10).path, key)
    on: dict[str, Any] = {"EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=on)

    run_id, name, lines = run(sandbox, deployment)
    assert name == "Repaired"
    assert [line.get("class") or line.get("fix") for line in lines[:-1]] == [
        "never notified",
        "notified",
    ]
    assert lines[-1]["counts"] == {"never notified": 1}
    assert lines[-1]["fixed"] == {"notified": 1}
    assert inbox.wait_for_ends([key], 120)[key].state_name == "Completed"

    shown = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "key": {"any_": ["reconcile"]}}}
    (table,) = sandbox.api.request("POST", "/artifacts/filter", shown)
    assert "never notified" in table["data"]
    found = sandbox.client("cloudwatch").list_metrics(Namespace="echodrop")["Metrics"]
    owner = {("stack", sandbox.names.cluster), ("service", "reconcile")}
    metrics = {
        each["MetricName"]
        for each in found
        if {(dimension["Name"], dimension["Value"]) for dimension in each["Dimensions"]} == owner
    }
    assert metrics == {
        *("Reconciled", "NeedAttention", "NeverNotified", "UploadsWithoutOutcome"),
        *("WaitingTooLong", "Repaired", "Seconds"),
    }

    inbox.drop(tmp_path / "lost.raw", f"{PREFIX}lost.mp3")
    _, name, lines = run(sandbox, deployment)
    assert f"catalog/cruises/{PREFIX}lost.zarr.json" in inbox.outputs("catalog/cruises/")
    assert name == "NeedsAttention"
    assert lines[-1]["counts"] == {"done": 1, "rejected": 1}

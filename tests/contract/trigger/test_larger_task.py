"""A task ran out of memory: the built trigger, a real Prefect, and the worker's own observer."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_aws.observers.ecs import mark_runs_as_crashed

from sandbox.aws.ecs_tasks import DETAIL_TYPE, stopped_detail
from sandbox.parts.waiting import wait_until
from task_sizes import LARGE
from tests.contract.conftest import ApiCall
from tests.contract.trigger.conftest import Function
from tests.contract.trigger.test_real_services import body_of
from tests.file_heads import file_head

WHY = "exit code 137 (out of memory) on size standard: retried on large"
FOUND: dict[str, Any] = {"batchItemFailures": []}
AGAIN = {"batchItemFailures": [{"itemIdentifier": "message-0"}]}


@dataclass
class StartedRun:
    """A run whose task the worker has started, and the event of that task's end."""

    id: str
    api: ApiCall
    api_url: str
    event: dict[str, Any] = field(default_factory=dict)

    def start_task(self, *, before_its_time: bool = False) -> None:
        """Start a task for the run under its name, as the worker does."""
        cluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/echodrop"
        task = f"{cluster.replace(':cluster/', ':task/')}/{uuid.uuid4().hex}"
        self.set_state("PENDING", force=before_its_time)
        self.api("PATCH", f"/flow_runs/{self.id}", {"infrastructure_pid": f"{cluster}::{task}"})
        self.set_state("RUNNING", force=before_its_time)
        variables = [{"name": "PREFECT__FLOW_RUN_ID", "value": self.id}]
        described = {
            "taskArn": task,
            "clusterArn": cluster,
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/echodrop:1",
            "overrides": {"containerOverrides": [{"name": "prefect", "environment": variables}]},
        }
        self.event = {
            "detail-type": DETAIL_TYPE,
            "source": "aws.ecs",
            "detail": stopped_detail(described, 137, asked_to_stop=False),
        }

    def set_state(self, kind: str, *, force: bool = False, **state: Any) -> None:
        body = {"state": {"type": kind, **state}, "force": force}
        assert self.api("POST", f"/flow_runs/{self.id}/set_state", body)["status"] == "ACCEPT"

    def observe(self) -> None:
        """Handle the event as the worker's observer does."""
        # Prefect's settings belong to one thread.
        with temporary_settings({PREFECT_API_URL: self.api_url}):
            asyncio.run(mark_runs_as_crashed(self.event, {"prefect.io/flow-run-id": self.id}))

    @property
    def now(self) -> Any:
        return self.api("GET", f"/flow_runs/{self.id}")

    @property
    def history(self) -> list[tuple[str, str]]:
        states = self.api("GET", f"/flow_run_states/?flow_run_id={self.id}")
        return [
            (state["name"], state["message"] or "")
            for state in sorted(states, key=lambda state: state["timestamp"])
        ]


@pytest.fixture
def run(trigger: Function, prefect_api: ApiCall, prefect_api_url: str) -> StartedRun:
    trigger.send(body_of(trigger, "HB0706/EK60/a.raw", file_head("EK60")))
    (line,) = trigger.lines()
    assert (line["reason"], line["tier"]) == ("new", "standard")
    run = StartedRun(line["flow_run_id"], prefect_api, prefect_api_url)
    run.start_task()
    return run


def is_retried_on_large(run: StartedRun) -> None:
    now = run.now
    assert now["state"]["type"] == "SCHEDULED"
    assert now["state"]["message"] == WHY
    assert now["job_variables"] == LARGE.job_variables
    tags = {tag for tag in now["tags"] if tag.startswith(("tier:", "enlarged-from:"))}
    assert tags == {"tier:large", "enlarged-from:standard"}
    # As the worker asks half a minute later: runs that start within its next ten seconds.
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 40))
    asked = {"work_queue_names": ["live"], "scheduled_before": soon}
    waiting = run.api("POST", "/work_pools/echodrop/get_scheduled_flow_runs", asked)
    assert run.id in {item["flow_run"]["id"] for item in waiting}


def test_the_observer_first(trigger: Function, run: StartedRun) -> None:
    run.observe()
    assert run.now["state"]["type"] == "CRASHED"
    assert trigger.send(json.dumps(run.event)).result == FOUND
    is_retried_on_large(run)
    line = trigger.lines()[-1]
    assert (line["outcome"], line["reason"], line["tier"]) == ("Submitted", "enlarged", "large")
    # A second event finds a scheduled run, and neither the observer nor the trigger changes it.
    run.observe()
    assert trigger.send(json.dumps(run.event)).result == FOUND
    is_retried_on_large(run)
    assert [name for name, _ in run.history[-2:]] == ["Crashed", "AwaitingRetry"]


def test_the_trigger_first(trigger: Function, run: StartedRun) -> None:
    assert trigger.send(json.dumps(run.event)).result == AGAIN
    assert trigger.lines()[-1]["reason"] == "unavailable"
    assert run.now["state"]["type"] == "RUNNING"
    run.observe()
    assert trigger.send(json.dumps(run.event)).result == FOUND
    is_retried_on_large(run)


def test_both_at_once(trigger: Function, run: StartedRun) -> None:
    observer = threading.Timer(1.0, run.observe)
    observer.start()
    try:
        # If the observer is slower than the trigger waits, the message returns to the queue.
        wait_until(
            lambda: trigger.send(json.dumps(run.event)).result == FOUND, 60, "the run to be settled"
        )
    finally:
        observer.join()
    is_retried_on_large(run)


def test_an_interruption_while_the_run_is_delayed(trigger: Function, run: StartedRun) -> None:
    run.observe()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30))
    details = {"scheduled_time": soon}
    run.set_state("SCHEDULED", name="AwaitingRetry", message=WHY, state_details=details)
    assert trigger.send(json.dumps(run.event)).result == FOUND
    is_retried_on_large(run)


def test_a_second_kill_is_final_and_the_first_event_changes_nothing(
    trigger: Function, run: StartedRun
) -> None:
    first = run.event
    run.observe()
    trigger.send(json.dumps(first))
    # Prefect would have it wait for half a minute, as `is_retried_on_large` expects.
    run.start_task(before_its_time=True)
    assert trigger.send(json.dumps(first)).result == FOUND
    assert trigger.lines()[-1]["reason"] == "task-settled"
    assert run.now["state"]["type"] == "RUNNING"
    run.observe()
    for _ in range(2):
        assert trigger.send(json.dumps(run.event)).result == FOUND
        line = trigger.lines()[-1]
        assert (line["outcome"], line["reason"]) == ("Rejected", "out-of-memory")
    now = run.now
    assert now["state"]["type"] == "CRASHED"
    assert "on size large, after standard was too small" in now["state"]["message"]
    assert "tier:large" in now["tags"]
    assert [name for name, _ in run.history].count("AwaitingRetry") == 1


def test_a_run_that_completed_anyway_is_not_changed(trigger: Function, run: StartedRun) -> None:
    run.set_state("COMPLETED")
    assert trigger.send(json.dumps(run.event)).result == FOUND
    assert trigger.lines()[-1]["reason"] == "task-settled"
    assert run.now["state"]["type"] == "COMPLETED"

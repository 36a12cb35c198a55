from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_trigger.clients.flow_runs import RunState
from lambda_trigger.decisions.outcomes import Ignored, Reason, Rejected, Submitted
from lambda_trigger.larger_task import CHANGE_SECONDS, RESTART_DELAY, KilledTask, judge, read_event
from task_sizes import LARGE, STANDARD, TaskSize
from tests.unit.trigger.conftest import Trigger

RUN_ID = "0d9ea5ac-8c7f-4f2a-a9a5-2f0d4d7b9b11"
CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/echodrop"
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/echodrop/11111111111111111111111111111111"
LATER_TASK = TASK.replace("1111111", "2222222")
WHY = "exit code 137 (out of memory) on size standard: retried on large"


def event(task: str = TASK, **detail: Any) -> dict[str, Any]:
    """An ECS event with the fields that are read, and others as AWS sends them."""
    environment = [
        {"name": "PREFECT_API_URL", "value": "http://prefect/api"},
        {"name": "PREFECT__FLOW_RUN_ID", "value": RUN_ID},
    ]
    return {
        "version": "0",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "detail": {
            "taskArn": task,
            "clusterArn": CLUSTER,
            "group": "family:echodrop-convert",
            "lastStatus": "STOPPED",
            "stopCode": "EssentialContainerExited",
            "stoppedReason": "OutOfMemoryError: Container killed due to memory usage",
            "containers": [{"name": "prefect", "exitCode": 137}],
            "overrides": {
                "containerOverrides": [
                    {"name": "sidecar"},
                    {"name": "prefect", "command": ["prefect"], "environment": environment},
                ]
            },
        }
        | detail,
    }


def run(
    state_type: str = "CRASHED", state_name: str = "", size: TaskSize = STANDARD, **facts: Any
) -> RunState:
    known = RunState(
        name="D2007 · EK60",
        state_type=state_type,
        state_name=state_name or state_type.title(),
        message="",
        task=f"{CLUSTER}::{TASK}",
        tags=["bucket:inbox", f"tier:{size.name}"],
        parameters={"raw_file": "s3://inbox/a.raw", "sonar_model": "EK60"},
        job_variables=size.job_variables | {"launch_type": "FARGATE"},
    )
    return replace(known, **facts)


def enlarged(state_type: str = "CRASHED", state_name: str = "", **facts: Any) -> RunState:
    """A run that was killed on the standard size before."""
    found = run(state_type, state_name, LARGE, **facts)
    found.tags.append("enlarged-from:standard")
    return found


def outcome(of: RunState, task: str = TASK) -> Any:
    return judge(KilledTask(task, RUN_ID), of)


def test_an_event_names_its_run_and_task() -> None:
    assert read_event(event()) == KilledTask(TASK, RUN_ID)


def test_another_container_beside_a_killed_conversion_does_not_matter() -> None:
    containers = [{"name": "agent", "exitCode": 0}, {"name": "prefect", "exitCode": 137}]
    assert read_event(event(containers=containers)) == KilledTask(TASK, RUN_ID)


@pytest.mark.parametrize(
    "detail",
    [
        {"containers": [{"name": "prefect", "exitCode": 1}]},
        {"containers": []},
        # An agent that the account injects was killed; the conversion was not.
        {"containers": [{"name": "agent", "exitCode": 137}, {"name": "prefect", "exitCode": 0}]},
        {"containers": [{"name": "agent", "exitCode": 137}, {"name": "prefect", "exitCode": 1}]},
        {"containers": [{"name": "agent", "exitCode": 137}]},
        {"lastStatus": "RUNNING"},
        # It was asked to stop, and killed because it took too long: memory was not the reason.
        {"stopCode": "UserInitiated"},
        {"stopCode": "SpotInterruption"},
    ],
)
def test_other_task_ends_are_ignored(detail: dict[str, Any]) -> None:
    found = read_event(event(**detail))
    assert isinstance(found, Ignored)
    assert found.reason == Reason.TASK_SETTLED


@pytest.mark.parametrize("overrides", [{}, {"containerOverrides": [{"name": "prefect"}]}, 3])
def test_a_killed_task_without_a_run_is_rejected(overrides: Any) -> None:
    found = read_event(event(overrides=overrides))
    assert isinstance(found, Rejected)
    assert TASK in found.detail


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.just("STOPPED") | st.just(137),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*event()["detail"], "exitCode"]), inner, max_size=5)
        ),
    )
)
def test_any_detail_gives_an_outcome(detail: Any) -> None:
    read_event({"detail-type": "ECS Task State Change", "detail": detail})


@pytest.mark.parametrize("state_type", ["CRASHED", "SCHEDULED"])
def test_a_killed_run_gets_the_large_size(state_type: str) -> None:
    # Scheduled without the tag: an invocation ended before it had changed the size.
    wanted = Submitted(Reason.ENLARGED, RUN_ID, "D2007 · EK60", "EK60", WHY, "large")
    assert outcome(run(state_type)) == wanted


def test_a_scheduled_run_with_its_new_size_is_not_changed() -> None:
    assert outcome(enlarged("SCHEDULED", "AwaitingRetry", message="why")) == Submitted(
        Reason.ENLARGED, RUN_ID, "D2007 · EK60", "EK60", "why", "large"
    )


@pytest.mark.parametrize("state_type", ["COMPLETED", "FAILED", "CANCELLED", "PAUSED"])
def test_a_run_that_ended_otherwise_is_not_changed(state_type: str) -> None:
    assert isinstance(outcome(run(state_type)), Ignored)


@pytest.mark.parametrize("state_type", ["RUNNING", "PENDING", "CRASHED", "COMPLETED"])
def test_an_event_of_an_earlier_task_changes_nothing(trigger: Trigger, state_type: str) -> None:
    later = enlarged(state_type, task=f"{CLUSTER}::{LATER_TASK}")
    assert outcome(later) == Ignored(Reason.TASK_SETTLED, "the run has a later task")
    # At once: it does not wait for the observer.
    assert stopped(trigger, later) == {"batchItemFailures": []}
    assert trigger.lines[-1]["message"] == "Ignored: task-settled"
    assert trigger.flow_runs.updates == []


def test_a_second_kill_is_rejected_with_a_remedy() -> None:
    found = outcome(enlarged(task=f"{CLUSTER}::{LATER_TASK}"), LATER_TASK)
    assert isinstance(found, Rejected)
    assert found.reason == Reason.OUT_OF_MEMORY
    assert "on size large, after standard was too small" in found.detail
    assert "job_variables" in found.detail


@pytest.mark.parametrize(
    ("parameters", "remedy"),
    [
        ({"raw_file": "s3://inbox/a.raw"}, "convert it again"),
        ({"files": [{"raw_file": "s3://inbox/a.raw"}]}, "convert it again"),
        ({"outputs": ["s3://output/a.zarr"], "force": False}, "echodrop draw"),
    ],
)
def test_the_remedy_is_that_of_the_flow(parameters: dict[str, Any], remedy: str) -> None:
    found = outcome(run(size=LARGE, parameters=parameters))
    assert isinstance(found, Rejected)
    assert remedy in found.detail
    assert ("rules document" in found.detail) is ("outputs" not in parameters)


def test_there_is_no_size_above_large() -> None:
    found = outcome(run(size=LARGE))
    assert isinstance(found, Rejected)
    assert "on size large, and there is no larger size" in found.detail
    assert isinstance(outcome(run("SCHEDULED", size=LARGE)), Ignored)


@pytest.mark.parametrize(("memory", "larger"), [(20000, True), (30720, False), (61440, False)])
def test_the_new_size_is_larger_than_the_size_of_the_prefix(memory: int, *, larger: bool) -> None:
    chosen = run()
    chosen.job_variables["memory"] = memory
    assert isinstance(outcome(chosen), Submitted if larger else Rejected)


def test_a_run_of_unknown_size_is_not_enlarged() -> None:
    found = outcome(run(job_variables={}, tags=[]))
    assert isinstance(found, Rejected)
    assert "on size unknown, because the run does not say how much memory" in found.detail


def stopped(trigger: Trigger, of: RunState, **detail: Any) -> dict[str, Any]:
    trigger.flow_runs.states[RUN_ID] = of
    return trigger.receive(event(**detail))


def test_a_killed_run_is_retried_in_one_invocation(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed: list[Any] = []
    set_state = trigger.flow_runs.set_state

    def noted(run_id: str, state: Any, deadline: Any, *, force: bool = False) -> bool:
        assert deadline.left() <= CHANGE_SECONDS
        proposed.append(state)
        return set_state(run_id, state, deadline, force=force)

    monkeypatch.setattr(trigger.flow_runs, "set_state", noted)
    assert stopped(trigger, run()) == {"batchItemFailures": []}
    assert trigger.flow_runs.updates == [f"AwaitingRetry: {WHY}", "changed"]
    # A worker fetches runs that start within ten seconds: not before the size has changed.
    (when,) = (state["state_details"]["scheduled_time"] for state in proposed)
    soon = (datetime.fromisoformat(when) - datetime.now(UTC)).total_seconds()
    assert CHANGE_SECONDS + 10 < soon <= RESTART_DELAY
    now = trigger.flow_runs.states[RUN_ID]
    assert now.job_variables == LARGE.job_variables | {"launch_type": "FARGATE"}
    assert now.tags == ["bucket:inbox", "tier:large", "enlarged-from:standard"]
    line = trigger.lines[-1]
    assert line["message"] == "Submitted: enlarged"
    assert (line["flow_run_id"], line["tier"]) == (RUN_ID, "large")
    assert line["detail"] == f"s3://inbox/a.raw: {WHY}"


def test_a_repeated_event_changes_nothing(trigger: Trigger) -> None:
    for _ in range(2):
        stopped(trigger, trigger.flow_runs.states.get(RUN_ID, run()))
        assert trigger.lines[-1]["message"] == "Submitted: enlarged"
    assert len(trigger.flow_runs.updates) == 2


def test_a_run_that_was_changed_meanwhile_is_read_again(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger.flow_runs, "change_run", lambda *_: False)
    assert stopped(trigger, run()) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert "was changed meanwhile" in trigger.lines[-1]["error"]


@pytest.mark.parametrize("done", [1, 2])
def test_after_an_interruption_the_next_delivery_continues(
    trigger: Trigger, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):  # noqa: N818 - not an error of echodrop
        pass

    class Stops(list[str]):
        def append(self, update: str) -> None:
            super().append(update)
            if len(self) == done:
                raise Interrupted

    monkeypatch.setattr(trigger.flow_runs, "updates", Stops())
    assert stopped(trigger, run()) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    monkeypatch.setattr(trigger.flow_runs, "updates", copy.copy(list(trigger.flow_runs.updates)))
    assert stopped(trigger, trigger.flow_runs.states[RUN_ID]) == {"batchItemFailures": []}
    names = [update.split(":")[0] for update in trigger.flow_runs.updates]
    # A run that was delayed and not changed is delayed again first: a worker may be about to fetch it.
    assert names == ["AwaitingRetry"] * (3 - done) + ["changed"]
    now = trigger.flow_runs.states[RUN_ID]
    assert (now.state_type, now.job_variables["memory"]) == ("SCHEDULED", LARGE.memory)
    assert now.tags.count("enlarged-from:standard") == 1
    assert trigger.lines[-1]["message"] == "Submitted: enlarged"


@pytest.mark.parametrize("state_type", ["RUNNING", "PENDING", "CANCELLING"])
def test_until_the_worker_has_reported_the_kill_the_event_is_returned(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch, state_type: str
) -> None:
    monkeypatch.setattr("lambda_trigger.clients.clock.Deadline.pause", lambda *_: False)
    assert stopped(trigger, run(state_type)) == {
        "batchItemFailures": [{"itemIdentifier": "message-0"}]
    }
    assert trigger.flow_runs.updates == []
    assert "the worker has not reported" in trigger.lines[-1]["error"]


def test_the_worker_may_report_a_moment_later(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash_meanwhile(*_: Any) -> bool:
        trigger.flow_runs.states[RUN_ID] = run()
        return True

    monkeypatch.setattr("lambda_trigger.clients.clock.Deadline.pause", crash_meanwhile)
    assert stopped(trigger, run("RUNNING")) == {"batchItemFailures": []}
    assert trigger.lines[-1]["message"] == "Submitted: enlarged"


def test_a_deleted_run_is_not_retried(trigger: Trigger) -> None:
    assert trigger.receive(event()) == {"batchItemFailures": []}
    assert trigger.lines[-1]["message"] == "Ignored: task-settled"


def test_a_second_kill_is_reported_once(trigger: Trigger) -> None:
    again = enlarged()
    for _ in range(2):
        assert stopped(trigger, trigger.flow_runs.states.get(RUN_ID, again)) == {
            "batchItemFailures": []
        }
        assert trigger.lines[-1]["message"] == "Rejected: out-of-memory"
        assert "s3://inbox/a.raw" in trigger.lines[-1]["detail"]
    (update,) = trigger.flow_runs.updates
    # Prefect rejects a change between two final states unless it is forced.
    assert update.startswith("force Crashed: exit code 137")


def test_a_prefect_outage_returns_the_event(trigger: Trigger) -> None:
    trigger.flow_runs.broken = True
    assert stopped(trigger, run()) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}

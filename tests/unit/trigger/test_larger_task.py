from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.size_tiers import TIERS, rules_tables
from lambda_trigger.flow_runs import RunState
from lambda_trigger.larger_task import (
    HELD,
    AwaitObserver,
    Change,
    Killed,
    ProposeState,
    next_step,
    read_event,
)
from lambda_trigger.outcomes import Ignored, Reason, Rejected, Submitted
from lambda_trigger.rules_document import parse_rules
from tests.unit.trigger.conftest import RULES, Trigger

RUN_ID = "0d9ea5ac-8c7f-4f2a-a9a5-2f0d4d7b9b11"
CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/echodrop"
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/echodrop/11111111111111111111111111111111"
LATER_TASK = TASK.replace("1111111", "2222222")
SIZES = parse_rules(RULES + rules_tables()).tiers
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def event(task: str = TASK, **detail: Any) -> dict[str, Any]:
    """An event of ECS's, as far as it is looked at; fields beside it as AWS sends them."""
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


def run(state_type: str = "CRASHED", state_name: str = "", tier: int = 0, **facts: Any) -> RunState:
    size = TIERS[tier]
    known = RunState(
        name="D2007 · EK60",
        state_type=state_type,
        state_name=state_name or state_type.title(),
        message="",
        task=f"{CLUSTER}::{TASK}",
        tags=["bucket:inbox", f"tier:{size.name}"],
        parameters={"raw_file": "s3://inbox/a.raw", "sonar_model": "EK60"},
        job_variables={
            "cpu": size.cpu,
            "memory": size.memory,
            "ephemeral_storage": size.ephemeral_storage,
            "launch_type": "FARGATE",
        },
    )
    return replace(known, **facts)


def step(of: RunState, task: str = TASK) -> Any:
    return next_step(Killed(task, RUN_ID), of, SIZES, NOW)


def test_an_event_names_its_run_and_task() -> None:
    assert read_event(event()) == Killed(TASK, RUN_ID)


def test_an_agent_beside_a_killed_conversion_changes_nothing() -> None:
    containers = [{"name": "agent", "exitCode": 0}, {"name": "prefect", "exitCode": 137}]
    assert read_event(event(containers=containers)) == Killed(TASK, RUN_ID)


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
        # Told to stop, and killed because it took too long: its memory was not the reason.
        {"stopCode": "UserInitiated"},
        {"stopCode": "SpotInterruption"},
    ],
)
def test_other_ends_of_tasks_are_none_of_ours(detail: dict[str, Any]) -> None:
    found = read_event(event(**detail))
    assert isinstance(found, Ignored)
    assert found.reason == Reason.TASK_SETTLED


@pytest.mark.parametrize("overrides", [{}, {"containerOverrides": [{"name": "prefect"}]}, 3])
def test_a_killed_task_without_a_run_is_told_to_an_operator(overrides: Any) -> None:
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
def test_any_detail_is_read(detail: Any) -> None:
    read_event({"detail-type": "ECS Task State Change", "detail": detail})


def test_a_crashed_run_is_held_while_it_gets_its_size() -> None:
    proposed = step(run())
    assert isinstance(proposed, ProposeState)
    assert (proposed.state["type"], proposed.state["name"]) == ("SCHEDULED", HELD)
    assert proposed.state["message"] == (
        "exit code 137 (out of memory) on tier small: once more on medium"
    )
    # Longer than the queue hides a message, so that a redelivery comes before the worker.
    when = datetime.fromisoformat(proposed.state["state_details"]["scheduled_time"])
    assert (when - NOW).total_seconds() > 2 * 360
    assert not proposed.force


def test_a_held_run_gets_the_next_size_and_says_where_it_came_from() -> None:
    change = step(run("SCHEDULED", HELD))
    assert isinstance(change, Change)
    assert change.changes == {
        "job_variables": {
            "cpu": 2048,
            "memory": 16384,
            "ephemeral_storage": 21,
            "launch_type": "FARGATE",
        },
        "tags": ["bucket:inbox", "tier:medium", "enlarged-from:small"],
    }


def test_a_run_with_its_new_size_starts_now_with_the_reason() -> None:
    enlarged = run("SCHEDULED", HELD, tier=1, message="why")
    enlarged.tags.append("enlarged-from:small")
    proposed = step(enlarged)
    assert isinstance(proposed, ProposeState)
    assert proposed.state["name"] == "AwaitingRetry"
    assert proposed.state["message"] == "why"
    assert proposed.state["state_details"]["scheduled_time"] == NOW.isoformat()
    waiting = replace(enlarged, state_name="AwaitingRetry")
    assert step(waiting) == Submitted(
        Reason.ENLARGED, RUN_ID, "D2007 · EK60", "EK60", "why", "medium"
    )


@pytest.mark.parametrize("state_type", ["RUNNING", "PENDING", "CANCELLING"])
def test_a_run_that_is_not_yet_called_crashed_is_left_until_it_is(state_type: str) -> None:
    assert isinstance(step(run(state_type)), AwaitObserver)


@pytest.mark.parametrize("state_type", ["COMPLETED", "FAILED", "CANCELLED", "PAUSED"])
def test_a_run_that_ended_otherwise_is_left_alone(state_type: str) -> None:
    assert isinstance(step(run(state_type)), Ignored)


@pytest.mark.parametrize("state_type", ["RUNNING", "PENDING", "CRASHED", "COMPLETED"])
def test_an_event_of_an_earlier_task_changes_nothing(state_type: str) -> None:
    later = run(state_type, tier=1, task=f"{CLUSTER}::{LATER_TASK}")
    assert step(later) == Ignored(Reason.TASK_SETTLED, "the run has a later task")


def test_a_second_kill_is_the_end_and_says_what_to_do() -> None:
    again = run(tier=1, task=f"{CLUSTER}::{LATER_TASK}")
    again.tags.append("enlarged-from:small")
    proposed = step(again, LATER_TASK)
    assert isinstance(proposed, ProposeState)
    # Prefect lets no run go from one end to another, but for who insists.
    assert (proposed.state["type"], proposed.force) == ("CRASHED", True)
    assert "on tier medium, and small was too small before" in proposed.state["message"]
    assert "job_variables" in proposed.state["message"]
    told = replace(again, message=proposed.state["message"])
    outcome = step(told, LATER_TASK)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == Reason.OUT_OF_MEMORY


def test_there_is_nothing_behind_the_largest_tier() -> None:
    proposed = step(run(tier=len(TIERS) - 1))
    assert isinstance(proposed, ProposeState)
    assert "on tier giant, and there is no larger one" in proposed.state["message"]


def test_the_next_size_is_larger_than_the_one_that_the_prefix_asked_for() -> None:
    chosen = run("SCHEDULED", HELD)
    chosen.job_variables["memory"] = 20000
    change = step(chosen)
    assert isinstance(change, Change)
    assert change.changes["job_variables"]["memory"] == 30720
    assert "tier:large" in change.changes["tags"]


def test_a_run_of_unknown_size_can_have_no_larger_one() -> None:
    sizeless = run(job_variables={}, tags=[])
    assert isinstance(step(sizeless), ProposeState)
    assert step(sizeless).state["type"] == "CRASHED"


def stopped(trigger: Trigger, of: RunState, **detail: Any) -> dict[str, Any]:
    trigger.rules = RULES + rules_tables()
    trigger.flow_runs.states[RUN_ID] = of
    return trigger.receive(event(**detail))


def test_a_killed_run_is_started_again_in_one_invocation(trigger: Trigger) -> None:
    assert stopped(trigger, run()) == {"batchItemFailures": []}
    why = "exit code 137 (out of memory) on tier small: once more on medium"
    assert trigger.flow_runs.told == [f"{HELD}: {why}", "changed", f"AwaitingRetry: {why}"]
    line = trigger.lines[-1]
    assert line["message"] == "Submitted: enlarged"
    assert (line["flow_run_id"], line["tier"]) == (RUN_ID, "medium")
    assert line["detail"] == f"s3://inbox/a.raw: {why}"


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_wherever_it_was_interrupted_the_next_delivery_goes_on(
    trigger: Trigger, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):  # noqa: N818 - no error of ours
        pass

    class Stops(list[str]):
        def append(self, told: str) -> None:
            super().append(told)
            if len(self) == done:
                raise Interrupted

    if done:
        monkeypatch.setattr(trigger.flow_runs, "told", Stops())
        assert stopped(trigger, run()) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
        so_far = copy.copy(list(trigger.flow_runs.told))
        monkeypatch.setattr(trigger.flow_runs, "told", so_far)
    else:
        trigger.flow_runs.states[RUN_ID] = run()
    assert stopped(trigger, trigger.flow_runs.states[RUN_ID]) == {"batchItemFailures": []}
    assert [told.split(":")[0] for told in trigger.flow_runs.told] == [
        HELD,
        "changed",
        "AwaitingRetry",
    ]
    assert trigger.lines[-1]["message"] == "Submitted: enlarged"


def test_until_the_worker_has_told_prefect_the_event_comes_again(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambda_trigger.clock.Deadline.pause", lambda *_: False)
    assert stopped(trigger, run("RUNNING")) == {
        "batchItemFailures": [{"itemIdentifier": "message-0"}]
    }
    assert trigger.flow_runs.told == []
    assert "the worker has not told" in trigger.lines[-1]["error"]


def test_the_worker_may_be_a_moment_behind(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash_meanwhile(*_: Any) -> bool:
        trigger.flow_runs.states[RUN_ID] = run()
        return True

    monkeypatch.setattr("lambda_trigger.clock.Deadline.pause", crash_meanwhile)
    assert stopped(trigger, run("RUNNING")) == {"batchItemFailures": []}
    assert trigger.lines[-1]["message"] == "Submitted: enlarged"


def test_a_run_that_is_gone_is_none_to_start_again(trigger: Trigger) -> None:
    assert trigger.receive(event()) == {"batchItemFailures": []}
    assert trigger.lines[-1]["message"] == "Ignored: task-settled"


def test_a_second_kill_is_told_to_an_operator_once(trigger: Trigger) -> None:
    again = run(tier=1)
    again.tags.append("enlarged-from:small")
    for _ in range(2):
        assert stopped(trigger, trigger.flow_runs.states.get(RUN_ID, again)) == {
            "batchItemFailures": []
        }
        assert trigger.lines[-1]["message"] == "Rejected: out-of-memory"
        assert "s3://inbox/a.raw" in trigger.lines[-1]["detail"]
    assert len(trigger.flow_runs.told) == 1


def test_a_prefect_that_is_away_brings_the_event_again(trigger: Trigger) -> None:
    trigger.flow_runs.broken = True
    assert stopped(trigger, run()) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}

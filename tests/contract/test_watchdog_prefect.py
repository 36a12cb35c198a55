"""The watchdog's requests to a real Prefect API, and its metrics from the answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.monitoring.template_alarms import state_by_lines
from watchdog.emf import emf_line
from watchdog.prefect_http import PrefectHttp, PrefectUnreachableError
from watchdog.prefect_look import FLOWS, NO_WORKER_SECONDS, PrefectLook

ApiCall = Callable[..., Any]
BATCH = "convert-raw-sonar-batch"


def look(url: str, pool: str, now: datetime | None = None) -> dict[str, float]:
    taken = now or datetime.now(UTC)
    return PrefectLook(PrefectHttp(url, timeout=5), pool, taken, timedelta(minutes=15)).metrics()


def run_in(
    api: ApiCall, *states: dict[str, Any], flow: str = "convert-raw-sonar", tags: Sequence[str] = ()
) -> str:
    flow_id = api("POST", "/flows/", {"name": flow})["id"]
    body = {"flow_id": flow_id, "name": uuid.uuid4().hex, "tags": list(tags)}
    run = api("POST", "/flow_runs/", body)["id"]
    for state in states:
        api("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})
    return str(run)


def test_each_kind_of_problem_has_its_own_count(prefect_api: ApiCall, prefect_api_url: str) -> None:
    pool = f"watched-{uuid.uuid4().hex[:8]}"
    prefect_api("POST", "/work_pools/", {"name": pool, "type": "process"})
    before = look(prefect_api_url, pool)
    assert before["WorkerHeartbeatAgeSeconds"] == NO_WORKER_SECONDS
    run_in(prefect_api, {"type": "FAILED", "name": "AccessDenied"})
    run_in(prefect_api, {"type": "FAILED"}, tags=["echodrop", "outcome:BadFile"])
    run_in(prefect_api, {"type": "CRASHED"})
    run_in(prefect_api, {"type": "PENDING"})
    run_in(prefect_api, {"type": "RUNNING"})
    # A batch is counted by its files.
    counts = ["outcome:PartlyFailed", "files:AccessDenied:3", "files:BadFile:2"]
    run_in(prefect_api, {"type": "FAILED"}, flow=BATCH, tags=counts)
    run_in(prefect_api, {"type": "FAILED", "name": "Failed"}, flow="reconcile-inbox")
    # A run of another flow is ignored.
    run_in(prefect_api, {"type": "FAILED"}, flow="somebody-elses")
    prefect_api("POST", f"/work_pools/{pool}/workers/heartbeat", {"name": "w"})
    now = look(prefect_api_url, pool)
    grown = {name: now[name] - before[name] for name in now}
    assert (grown["FailedRuns"], grown["BadFiles"], grown["CrashedRuns"]) == (5, 3, 1)
    assert grown["UnendedRuns"] == 2
    assert now["WorkerHeartbeatAgeSeconds"] < 60
    # Seven hours later ended runs are old, and running ones are stuck.
    later = look(prefect_api_url, pool, datetime.now(UTC) + timedelta(hours=7))
    assert (later["FailedRuns"], later["BadFiles"], later["CrashedRuns"]) == (0, 0, 0)
    assert later["StuckPendingRuns"] - now["StuckPendingRuns"] >= 1
    assert later["StuckRunningRuns"] - now["StuckRunningRuns"] >= 1
    assert later["WorkerHeartbeatAgeSeconds"] > 6 * 3600


@pytest.mark.parametrize("question", range(6))
def test_a_bad_file_that_ends_during_the_check_is_not_a_system_failure(
    prefect_api: ApiCall, prefect_api_url: str, question: int
) -> None:
    asked = 0

    class Overtaken(PrefectLook):
        def _ask(self, path: str, body: Mapping[str, Any]) -> Any:
            nonlocal asked
            if asked == question:
                run_in(prefect_api, {"type": "FAILED"}, tags=["outcome:BadFile"])
            asked += 1
            return super()._ask(path, body)

    pool = f"watched-{uuid.uuid4().hex[:8]}"
    before = look(prefect_api_url, pool)
    after = Overtaken(PrefectHttp(prefect_api_url), pool, datetime.now(UTC), timedelta(minutes=15))
    assert after.metrics()["FailedRuns"] == before["FailedRuns"]
    assert asked > question


def state(name: str, url: str, pool: str, minutes: float, before: str = "OK") -> str:
    """The state of an alarm after invocations with the metrics of one some minutes later."""
    metrics = look(url, pool, datetime.now(UTC) + timedelta(minutes=minutes))
    return state_by_lines(name, [emf_line("echodrop", metrics, {}, 0)], before)


@pytest.mark.parametrize(
    ("alarm", "minutes", "trouble"),
    [
        ("RunsFailedAlarm", 0, {"type": "FAILED", "name": "AccessDenied"}),
        ("RunsCrashedAlarm", 0, {"type": "CRASHED"}),
        ("RunsPendingAlarm", 20, {"type": "PENDING"}),
        ("RunsStuckAlarm", 400, {"type": "RUNNING"}),
        ("RunsLateAlarm", 0, {"type": "SCHEDULED", "name": "Late"}),
        ("OldestUploadAlarm", 40, {"type": "SCHEDULED"}),
    ],
)
def test_each_problem_raises_its_alarm_and_its_end_clears_it(
    prefect_api: ApiCall,
    prefect_api_url: str,
    alarm: str,
    minutes: float,
    trouble: dict[str, str],
) -> None:
    """Evaluate the watchdog's log lines by the template's definitions."""
    pool = f"watched-{uuid.uuid4().hex[:8]}"
    prefect_api("POST", "/work_pools/", {"name": pool, "type": "process"})
    everything = {"flows": {"name": {"any_": list(FLOWS)}}, "limit": 200}
    # Runs of other tests must not count.
    for run in prefect_api("POST", "/flow_runs/filter", everything):
        prefect_api("DELETE", f"/flow_runs/{run['id']}")
    assert state(alarm, prefect_api_url, pool, minutes, "ALARM") == "OK"
    flow = prefect_api("POST", "/flows/", {"name": "convert-raw-sonar"})["id"]
    deployed = {"name": pool, "flow_id": flow, "work_pool_name": pool}
    deployment = prefect_api("POST", "/deployments/", deployed)["id"]
    wanted = {"state": {"type": "SCHEDULED"}, "work_queue_name": "live"}
    create = f"/deployments/{deployment}/create_flow_run"
    run = prefect_api("POST", create, wanted)["id"]
    prefect_api("POST", f"/flow_runs/{run}/set_state", {"state": trouble, "force": True})
    assert state(alarm, prefect_api_url, pool, minutes) == "ALARM"
    if trouble["type"] in {"FAILED", "CRASHED"}:
        # Ended within the last quarter of an hour.
        assert state(alarm, prefect_api_url, pool, 16, "ALARM") == "OK"
    done = {"state": {"type": "COMPLETED"}, "force": True}
    prefect_api("POST", f"/flow_runs/{run}/set_state", done)
    assert state(alarm, prefect_api_url, pool, minutes, "ALARM") == "OK"


def test_the_oldest_waiting_upload_is_one_of_the_live_lane(
    prefect_api: ApiCall, prefect_api_url: str
) -> None:
    pool = f"watched-{uuid.uuid4().hex[:8]}"
    prefect_api("POST", "/work_pools/", {"name": pool, "type": "process"})
    flow = prefect_api("POST", "/flows/", {"name": "convert-raw-sonar"})["id"]
    deployment = prefect_api(
        "POST", "/deployments/", {"name": pool, "flow_id": flow, "work_pool_name": pool}
    )["id"]
    wanted = {"state": {"type": "SCHEDULED"}}
    create = f"/deployments/{deployment}/create_flow_run"
    later = datetime.now(UTC) + timedelta(hours=2)
    without = look(prefect_api_url, pool, later)["OldestWaitingSeconds"]
    prefect_api("POST", create, {**wanted, "work_queue_name": "backfill"})
    assert look(prefect_api_url, pool, later)["OldestWaitingSeconds"] == without
    prefect_api("POST", create, {**wanted, "work_queue_name": "live"})
    assert look(prefect_api_url, pool, later)["OldestWaitingSeconds"] > 7000


def test_without_a_registered_pool_there_is_no_worker_but_prefect_is_reachable(
    prefect_api_url: str,
) -> None:
    never = look(prefect_api_url, f"watched-{uuid.uuid4().hex[:8]}")
    assert never["WorkerHeartbeatAgeSeconds"] == NO_WORKER_SECONDS


def test_a_server_that_does_not_answer_is_unreachable() -> None:
    with pytest.raises(PrefectUnreachableError, match=r"127\.0\.0\.1"):
        look("http://127.0.0.1:9/api", "pool")

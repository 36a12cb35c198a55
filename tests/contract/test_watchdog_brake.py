"""The brake against a real Prefect server: it pauses the pool, sends one alert, and is stable."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.unit.watchdog.test_watchdog import environment
from watchdog import handler
from watchdog.cost_brake import BrakeLimits, BrakeNote, Spend
from watchdog.handler import WatchdogClients
from watchdog.pool_brake import NoteStore, WorkPool, brake, observe
from watchdog.prefect_http import PrefectHttp, PrefectUnreachableError
from watchdog.settings import read_settings

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")

ApiCall = Callable[..., Any]
LIMITS = BrakeLimits(3, 200)
SNS_IS_DOWN = ClientError({"Error": {"Code": "InternalError"}}, "Publish")


@dataclass
class Braked:
    """A work pool with a deployment and the brake, and the alerts that were sent."""

    api: ApiCall
    pool: WorkPool
    notes: NoteStore
    limits: BrakeLimits
    messages: list[dict[str, Any]] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    sns_is_down: bool = False

    def start_runs(self, number: int, pool: str | None = None) -> None:
        name = pool or self.pool.name
        flow = self.api("POST", "/flows/", {"name": "convert-raw-sonar"})["id"]
        asked = {"name": name, "flow_id": flow, "work_pool_name": name}
        deployment = self.api("POST", "/deployments/", asked)["id"]
        for _ in range(number):
            run = self.api("POST", f"/deployments/{deployment}/create_flow_run", {})["id"]
            for kind in ("PENDING", "RUNNING", "COMPLETED"):
                state = {"state": {"type": kind}, "force": True}
                self.api("POST", f"/flow_runs/{run}/set_state", state)

    def look(self, after: timedelta = timedelta(), spend: Spend | None = None) -> bool:
        seen = observe(self.pool, self.limits, datetime.now(UTC) + after, spend)
        return brake(self.pool, self.notes, self.limits, seen, self.publish)

    def publish(self, subject: str, text: str) -> None:
        if self.sns_is_down:
            raise SNS_IS_DOWN
        self.subjects.append(subject)
        self.messages.append(json.loads(text))

    def resume(self) -> None:
        self.api("PATCH", f"/work_pools/{self.pool.name}", {"is_paused": False})

    def handed_out(self) -> int:
        """How many runs a worker would get."""
        path = f"/work_pools/{self.pool.name}/get_scheduled_flow_runs"
        return len(self.api("POST", path, {}))


@pytest.fixture
def braked(prefect_api: ApiCall, prefect_api_url: str, session: boto3.Session) -> Iterator[Braked]:
    name = f"braked-{uuid.uuid4().hex[:8]}"
    prefect_api("POST", "/work_pools/", {"name": name, "type": "process"})
    pool = WorkPool(PrefectHttp(prefect_api_url), name)
    s3 = session.client("s3")
    s3.create_bucket(Bucket="output")
    yield Braked(prefect_api, pool, NoteStore(s3, "output", ".echodrop/brake/"), LIMITS)
    prefect_api("DELETE", f"/work_pools/{name}")


def test_above_the_limit_the_pool_is_paused_once_with_one_alert(braked: Braked) -> None:
    braked.start_runs(3)
    assert not braked.look()
    assert not braked.pool.is_paused()
    braked.start_runs(1)
    # A waiting run: a worker gets it now, but not after the pool is paused.
    flow = braked.api("POST", "/flows/", {"name": "convert-raw-sonar"})["id"]
    asked = {"name": "waits", "flow_id": flow, "work_pool_name": braked.pool.name}
    deployment = braked.api("POST", "/deployments/", asked)["id"]
    braked.api("POST", f"/deployments/{deployment}/create_flow_run", {})
    assert braked.handed_out() == 1
    assert braked.look()
    assert braked.pool.is_paused()
    assert braked.handed_out() == 0
    assert [braked.look(), braked.look()] == [True, True]
    (message,) = braked.messages
    assert message["why"] == "4 runs started within an hour, BrakeRunsAnHour is 3"
    assert message["resume"] == f"prefect work-pool resume {braked.pool.name}"
    assert braked.subjects == [f"Brake: work pool {braked.pool.name} is paused"]


def test_after_a_resume_the_brake_waits_an_hour_before_the_next_alert(braked: Braked) -> None:
    braked.start_runs(4)
    assert braked.look()
    braked.resume()
    assert not braked.look()
    braked.start_runs(4)
    assert not braked.look(timedelta(minutes=30))
    assert not braked.pool.is_paused()
    # An hour later all of these runs started more than an hour ago.
    assert not braked.look(timedelta(minutes=61))
    # If the brake had paused an hour ago, runs that started since then would count.
    note = braked.notes.read()
    an_hour_ago = {cause: at - timedelta(hours=1) for cause, at in note.pulled_at.items()}
    braked.notes.write(BrakeNote(note.state, note.latest, an_hour_ago))
    assert braked.look()
    assert len(braked.messages) == 2


def test_other_settings_of_the_pool_stay(braked: Braked) -> None:
    path = f"/work_pools/{braked.pool.name}"
    braked.api("PATCH", path, {"description": "ours", "concurrency_limit": 7})
    before = braked.api("GET", path)
    braked.start_runs(4)
    assert braked.look()
    after = braked.api("GET", path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"is_paused", "status", "updated"}
    assert after["is_paused"]


def test_waiting_runs_and_runs_cancelled_before_their_start_do_not_count(braked: Braked) -> None:
    flow = braked.api("POST", "/flows/", {"name": "convert-raw-sonar"})["id"]
    asked = {"name": "waits", "flow_id": flow, "work_pool_name": braked.pool.name}
    deployment = braked.api("POST", "/deployments/", asked)["id"]
    path = f"/deployments/{deployment}/create_flow_run"
    runs = [braked.api("POST", path, {})["id"] for _ in range(5)]
    assert not braked.look()
    for run in runs:
        state = {"state": {"type": "CANCELLED"}, "force": True}
        braked.api("POST", f"/flow_runs/{run}/set_state", state)
    assert not braked.look()
    assert braked.messages == []


def test_runs_of_another_pool_do_not_count(braked: Braked) -> None:
    other = f"other-{uuid.uuid4().hex[:8]}"
    braked.api("POST", "/work_pools/", {"name": other, "type": "process"})
    braked.start_runs(5, other)
    assert not braked.look()
    braked.api("DELETE", f"/work_pools/{other}")


def test_a_pool_that_a_person_paused_is_not_changed(braked: Braked) -> None:
    braked.start_runs(4)
    braked.api("PATCH", f"/work_pools/{braked.pool.name}", {"is_paused": True})
    assert not braked.look()
    assert braked.messages == []


def test_the_spend_of_the_month_pauses_the_pool_and_an_unknown_spend_does_not(
    braked: Braked,
) -> None:
    assert not braked.look(spend=None)
    assert not braked.look(spend=Spend(200, 100))
    assert braked.look(spend=Spend(200.5, 100))
    assert braked.pool.is_paused()
    braked.resume()
    assert not braked.look(timedelta(minutes=5), Spend(250, 100))


def test_the_next_invocation_sends_an_alert_that_failed(braked: Braked) -> None:
    braked.start_runs(4)
    braked.sns_is_down = True
    with pytest.raises(ClientError):
        braked.look()
    assert braked.pool.is_paused()
    braked.sns_is_down = False
    assert braked.look(timedelta(minutes=5))
    assert len(braked.messages) == 1
    assert braked.look(timedelta(minutes=10))
    assert len(braked.messages) == 1


def test_the_next_invocation_pauses_a_pool_that_prefect_did_not_pause(
    braked: Braked, monkeypatch: pytest.MonkeyPatch
) -> None:
    braked.start_runs(4)

    def refuse(_: WorkPool) -> None:
        raise PrefectUnreachableError("/work_pools: HTTP 403")

    with monkeypatch.context() as patch:
        patch.setattr(WorkPool, "pause", refuse)
        with pytest.raises(PrefectUnreachableError):
            braked.look()
    assert braked.messages == []
    assert braked.look(timedelta(minutes=5))
    assert braked.pool.is_paused()


def test_an_unregistered_pool_is_not_paused(prefect_api_url: str) -> None:
    pool = WorkPool(PrefectHttp(prefect_api_url), f"absent-{uuid.uuid4().hex[:8]}")
    with pytest.raises(PrefectUnreachableError, match="HTTP 404"):
        observe(pool, BrakeLimits(None, 200), datetime.now(UTC), None)


def test_the_watchdog_reads_the_budget_pauses_the_pool_and_sends_an_alert(
    braked: Braked, prefect_api_url: str
) -> None:
    """The handler with its settings, with moto for AWS and a real Prefect."""

    def client(service: str) -> Any:
        return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]  # the stubs want a literal

    names = ("s3", "sqs", "sns", "secretsmanager", "budgets")
    services = WatchdogClients(*(client(name) for name in names))
    heard, topic = (
        services.sqs.create_queue(QueueName="heard")["QueueUrl"],
        services.sns.create_topic(Name="alerts")["TopicArn"],
    )
    queue = "arn:aws:sqs:us-east-1:123456789012:heard"
    services.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    amount = {"Amount": "100", "Unit": "USD"}
    spent = {"Amount": "250.5", "Unit": "USD"}
    budget = {
        "BudgetName": "echodrop-us-east-1",
        "BudgetLimit": amount,
        "CalculatedSpend": {"ActualSpend": spent},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }
    services.budgets.create_budget(AccountId="123456789012", Budget=budget)
    settings = read_settings(
        environment(
            PREFECT_API_URL=prefect_api_url,
            ECHODROP_WORK_POOL=braked.pool.name,
            ECHODROP_DEAD_LETTER_URLS=heard,
            ECHODROP_ALERT_TOPIC_ARN=topic,
            ECHODROP_BRAKE_RUNS_AN_HOUR="1000",
            ECHODROP_BRAKE_BUDGET_PERCENT="200",
            ECHODROP_BUDGET_ARN="arn:aws:budgets::123456789012:budget/echodrop-us-east-1",
        )
    )
    learnt = list(handler.look(settings, services, datetime.now(UTC)))
    assert [fault for part in learnt for fault in part.faults] == []
    metrics = {name: value for part in learnt for name, value in part.metrics.items()}
    assert (metrics["BrakePulled"], metrics["RunsStarted"]) == (1, 0)
    assert braked.pool.is_paused()
    (message,) = services.sqs.receive_message(QueueUrl=heard)["Messages"]
    alert = json.loads(json.loads(message["Body"])["Message"])
    assert alert["event"] == "brake"
    assert "$250.50 was spent" in alert["why"]
    # An unreadable budget is a fault, but not a reason to pause.
    braked.resume()
    services.s3.delete_object(Bucket="output", Key=".echodrop/brake/state.json")
    services.budgets.delete_budget(AccountId="123456789012", BudgetName="echodrop-us-east-1")
    *_, last = handler.look(settings, services, datetime.now(UTC))
    assert [type(fault).__name__ for fault in last.faults] == ["NotFoundException"]
    assert last.metrics["BrakePulled"] == 0
    assert not braked.pool.is_paused()

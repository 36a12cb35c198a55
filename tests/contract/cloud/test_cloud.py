"""All clients of Prefect use calls that Prefect Cloud serves, and wait after a 429."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import PrefectApi as TriggerApi
from lambda_trigger.clients.http_client import HttpClient
from lambda_trigger.clients.prefect_connection import PrefectConnection
from lambda_trigger.decisions.run_identity import RunRequest
from operations.clients.prefect_runs import PrefectRuns
from sandbox.parts.environments import prefect_environment, system_environment
from sandbox.parts.waiting import wait_until
from sandbox.sea.sample_file import write_sample
from tests.cloud.prefect_cloud import KEY, PrefectCloud
from tests.contract.deployment.account import POOL, Account
from watchdog.prefect_http import PrefectHttp
from watchdog.prefect_look import PrefectLook

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")
BEARER = f"Bearer {KEY}"
POLL = "POST /work_pools/{name}/get_scheduled_flow_runs"
# Prefect's client asks a server where results are stored, and uses its default after a 404.
PROBES = {"GET /admin/storage"}
# Retry-After of a 429 here, in seconds, and how often in a row one comes: more than Prefect's client
# retries by default, as many as the template has it retry.
SOON, IN_A_ROW = 0.2, 7


class Refusals:
    """A 429 for the first requests of each call, or of all calls together; then none."""

    def __init__(self, number: int, retry_after: float) -> None:
        self.number = number
        self.retry_after = retry_after
        self.refused: Counter[str] = Counter()

    def __call__(self, call: str) -> float | None:
        if self.refused[call] >= self.number:
            return None
        self.refused[call] += 1
        return self.retry_after


def look(cloud: PrefectCloud, pool: str = POOL) -> dict[str, float]:
    http = PrefectHttp(cloud.url, BEARER, timeout=5)
    return PrefectLook(http, pool, datetime.now(UTC), timedelta(minutes=15)).metrics()


def new_run(cloud: PrefectCloud, deployment: str = "convert-raw-sonar/ecs") -> tuple[str, str]:
    """The id and idempotency key of a run that the trigger creates."""
    secret = f'{{"api_key": "{KEY}"}}'
    connection = PrefectConnection(HttpClient(), cloud.url, lambda _deadline: secret)
    key = uuid.uuid4().hex
    parameters = {
        "raw_file": f"s3://inbox/{key}.raw",
        "sonar_model": "EK60",
        "output_path": f"s3://output/{key}.zarr",
        "output_type": "zarr",
    }
    wanted = RunRequest(deployment, key, ["echodrop"], key, parameters, {}, "live")
    return TriggerApi(connection).create_run(wanted, Deadline(60)).id, key


def worker(
    account: Account, cloud: PrefectCloud, folder: Path
) -> AbstractContextManager[Callable[[], str]]:
    """The stack's own worker with the stack's own settings, but polling each second."""
    (container,) = account.stack.task_definition("WorkerTask")["containerDefinitions"]
    environment = {
        **{each["name"]: each["value"] for each in container["environment"]},
        **prefect_environment(folder, cloud.url),
        **cloud.environment,
    }
    return account.worker(folder, environment)


def records(log: str) -> list[str]:
    """The records of a log, which begin with a time; a traceback belongs to its record."""
    return re.split(r"^(?=\d\d:\d\d:\d\d\.\d{3} \|)", log, flags=re.MULTILINE)


def test_deploy_registers_with_cloud_and_its_check_passes(
    account: Account, cloud: PrefectCloud
) -> None:
    account.notifications = {"EventBridgeConfiguration": {}}
    _, said = account.deploy()
    assert f"ok       Prefect's API at {cloud.url}/" in said
    assert f"create work pool {POOL} of type ecs" in said
    for subject in (f"work pool {POOL}", "work queue live", "deployment convert-raw-sonar/ecs"):
        assert f"ok       {subject}" in said
    _, again = account.deploy()
    assert again.startswith("nothing to change")
    assert cloud.not_served() == []


def test_an_address_that_is_not_an_api_is_reported(account: Account, cloud: PrefectCloud) -> None:
    # The address of Cloud's pages instead of its API.
    account.update(PrefectUrl=cloud.url.replace("/api/", "/"))
    good, said = account.deploy(only_check=True)
    assert not good
    assert said.startswith("MISSING  Prefect's API at ")
    assert "prefect cloud login" in said
    cloud.requests.clear()


def test_trigger_worker_watchdog_and_commands_use_calls_that_cloud_serves(
    account: Account, cloud: PrefectCloud, prefect_api: Callable[..., Any], tmp_path: Path
) -> None:
    account.deploy()
    cloud.requests.clear()
    before = look(cloud)
    run, key = new_run(cloud)
    prefect_api("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "PENDING"}})
    prefect_api("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CRASHED"}})
    after = look(cloud)
    assert after["CrashedRuns"] - before["CrashedRuns"] == 1
    runs = PrefectRuns(cloud.url, BEARER)
    facts = runs.by_identity([key])[key]
    assert facts.state_type == "CRASHED"
    # No server has a run of them; SQLite has its own limit.
    assert runs.by_identity([uuid.uuid4().hex for _ in range(250)]) == {}
    assert [each.id for each in runs.in_states(("CRASHED",)) if each.id == run] == [run]
    assert runs.cluster_of(POOL) == account.outputs["ClusterName"]
    assert str(runs.retry(run, facts.state_id, at_most=3)) == "retried"
    assert runs.unfinished_in("live") >= 1
    assert runs.at_once_in("backfill") == int(account.outputs["BackfillConcurrency"])
    assert list(runs.with_tasks()) == []
    prefect_api("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLED"}})
    with worker(account, cloud, tmp_path):
        wait_until(lambda: cloud.counts()[POLL] >= 2, 120, "the worker to poll")
    assert cloud.not_served() == []


def test_a_conversion_uses_calls_that_cloud_serves(cloud: PrefectCloud, tmp_path: Path) -> None:
    cloud.requests.clear()
    raw, output = tmp_path / "a.raw", tmp_path / "a.zarr"
    write_sample(raw, pings=20)
    code = (
        "import sys; from flows.convert_raw_sonar import convert_raw_sonar as convert\n"
        "convert(sys.argv[1], 'EK60', output_path=sys.argv[2], output_type='zarr')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(raw), str(output)],
        env={
            **system_environment(),
            **prefect_environment(tmp_path / "home", cloud.url),
            **cloud.environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert output.is_dir()
    assert cloud.counts()["POST /flow_runs/{id}/set_state"] >= 2
    assert set(cloud.not_served()) <= PROBES


def test_the_watchdog_waits_after_a_429_and_then_reports_everything(cloud: PrefectCloud) -> None:
    cloud.throttle = refusals = Refusals(1, 1.0)
    began = time.monotonic()
    metrics = look(cloud, "no-such-pool")
    assert metrics["FailedRuns"] >= 0
    assert set(refusals.refused.values()) == {1}
    assert time.monotonic() - began >= len(refusals.refused) * 1.0


def test_the_commands_wait_after_any_number_of_429s(
    account: Account, cloud: PrefectCloud, prefect_api: Callable[..., Any]
) -> None:
    account.deploy()
    run, key = new_run(cloud)
    prefect_api("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CRASHED"}})
    # More than any earlier number of retries.
    cloud.throttle = refusals = Refusals(9, SOON)
    runs = PrefectRuns(cloud.url, BEARER, per_minute=6000)
    facts = runs.by_identity([key])[key]
    assert str(runs.retry(run, facts.state_id, at_most=3)) == "retried"
    assert set(refusals.refused.values()) == {9}


def test_the_worker_survives_as_many_429s_as_the_template_allows(
    account: Account, cloud: PrefectCloud, tmp_path: Path
) -> None:
    account.deploy()
    with worker(account, cloud, tmp_path) as log:
        wait_until(lambda: cloud.counts()[POLL] >= 1, 120, "the worker to poll")
        start = len(cloud.requests)
        cloud.throttle = refusals = Refusals(IN_A_ROW, SOON)

        def polled_again() -> bool:
            # The observer of tasks has no queue here, which it logs with a traceback, too.
            others = [each for each in records(log()) if "prefect_aws.observers.ecs" not in each]
            assert not [each for each in others if "Traceback" in each], log()
            return any(each.call == POLL and each.status == 200 for each in cloud.requests[start:])

        wait_until(polled_again, 120, "the worker to poll again")
        assert refusals.refused[POLL] == IN_A_ROW


def test_deploy_waits_after_a_429(account: Account, cloud: PrefectCloud) -> None:
    account.deploy()
    cloud.throttle = refusals = Refusals(2, SOON)
    _, said = account.deploy()
    assert said.startswith("nothing to change")
    assert f"ok       work pool {POOL}" in said
    assert refusals.refused

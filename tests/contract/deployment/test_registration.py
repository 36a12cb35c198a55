"""Pool, queues and deployments on a real Prefect server: written once, and only what is ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment.deployment_specs import DeploymentSpec, QueueSpec, conversions, lanes
from flows.deployment.deployments import register
from lambda_trigger.decisions.rules_document import PrefixRule, Rules
from operations.clients.prefect_runs import PrefectRuns
from operations.status.health import HealthLine, health_lines

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")

ApiCall = Callable[..., Any]
POOL = "lanes"
ONE = "convert-raw-sonar/lanes"
here = partial(register, work_pool=POOL, work_pool_type="process")


@pytest.fixture(autouse=True)
def _server(prefect_api_url: str, prefect_api: ApiCall) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api_url}):
        yield
    for deployment in prefect_api("POST", "/deployments/filter", {}):
        if deployment["work_pool_name"] == POOL:
            prefect_api("DELETE", f"/deployments/{deployment['id']}")
    prefect_api("DELETE", f"/work_pools/{POOL}")


def queues(prefect_api: ApiCall) -> dict[str, tuple[int, int | None]]:
    found = prefect_api("POST", f"/work_pools/{POOL}/queues/filter", {})
    return {queue["name"]: (queue["priority"], queue["concurrency_limit"]) for queue in found}


def test_registering_again_changes_nothing(prefect_api: ApiCall) -> None:
    wanted: dict[str, Any] = {"deployments": conversions("lanes"), "queues": lanes(5, 50)}
    proposed = here(dry_run=True, **wanted)
    assert POOL not in {pool["name"] for pool in prefect_api("POST", "/work_pools/filter", {})}
    first = here(**wanted)
    assert first.changes == proposed.changes
    assert first.changes == [
        "create work pool lanes of type process",
        "create work queue live (priority 1, 50 at a time)",
        "create work queue backfill (priority 2, 5 at a time)",
        "create deployment convert-raw-sonar/lanes",
        "create deployment convert-raw-sonar-batch/lanes",
    ]
    second = here(**wanted)
    assert (second.changes, second.deployments) == ([], first.deployments)
    for name in ("convert_raw_sonar", "convert_raw_sonar_batch"):
        deployment = prefect_api("GET", f"/deployments/name/{name.replace('_', '-')}/lanes")
        assert deployment["entrypoint"] == f"flows.{name}.{name}"
        assert deployment["enforce_parameter_schema"]
        assert (deployment["work_pool_name"], deployment["work_queue_name"]) == (POOL, "live")
    assert queues(prefect_api) == {"live": (1, 50), "backfill": (2, 5), "default": (3, None)}


def test_what_an_operator_has_set_stays_as_it_is(prefect_api: ApiCall) -> None:
    here(deployments=())
    prefect_api("PATCH", f"/work_pools/{POOL}", {"is_paused": True, "concurrency_limit": 3})
    prefect_api("PATCH", f"/work_pools/{POOL}/queues/backfill", {"is_paused": True})
    template = prefect_api("GET", f"/work_pools/{POOL}")["base_job_template"]
    template["variables"]["properties"]["extra"] = {"type": "string"}
    changed = here(template, deployments=(), queues=lanes(7))
    assert changed.changes == [
        "change the base job template of work pool lanes",
        "change work queue backfill (priority 2, 7 at a time)",
    ]
    pool = prefect_api("GET", f"/work_pools/{POOL}")
    assert (pool["is_paused"], pool["concurrency_limit"]) == (True, 3)
    assert "extra" in pool["base_job_template"]["variables"]["properties"]
    assert prefect_api("GET", f"/work_pools/{POOL}/queues/backfill")["is_paused"]
    with pytest.raises(ValueError, match="of type process, not ecs"):
        register(work_pool=POOL)


def test_the_health_of_a_registered_pool_is_read(
    prefect_api: ApiCall, prefect_api_url: str
) -> None:
    here(deployments=conversions("lanes"), queues=lanes(5, 50))
    runs = PrefectRuns(prefect_api_url)

    def health(*deployments: str) -> dict[str, HealthLine]:
        prefixes = [PrefixRule(each, each, "zarr", "") for each in deployments]
        rules = Rules("inbox", "output", tuple(prefixes))
        found = health_lines(rules, runs.ask_now, lambda _: 0, {}, datetime.now(UTC))
        return {line.part: line for line in found}

    found = health(ONE, "convert-raw-sonar/nowhere")
    assert found["deployment"].state == "convert-raw-sonar/nowhere is not registered"
    assert found["work pool"].state == f"{POOL} is active"
    assert found["worker"].state == "none has ever reported"
    assert found["lane live"].state == "0 runs waiting, 0 running of at most 50"
    assert found["lane backfill"].state == "0 runs waiting, 0 running of at most 5"
    prefect_api("POST", f"/work_pools/{POOL}/workers/heartbeat", {"name": "w"})
    prefect_api("PATCH", f"/work_pools/{POOL}", {"is_paused": True})
    deployment = prefect_api("GET", f"/deployments/name/{ONE}")["id"]
    wanted = {
        "work_queue_name": "backfill",
        "parameters": {"raw_file": "a", "sonar_model": "EK60", "output_path": "b"},
    }
    run = prefect_api("POST", f"/deployments/{deployment}/create_flow_run", wanted)["id"]
    found = health(ONE)
    assert "deployment" not in found
    assert found["work pool"].state == f"{POOL} is paused"
    assert found["worker"].state == "reports"
    assert found["lane live"].state.startswith("0 runs waiting")
    assert found["lane backfill"].state.startswith("1 run waiting")
    assert [name for _, name, _ in runs.states(run)] == ["Scheduled"]
    prefect_api("DELETE", f"/flow_runs/{run}")


def test_lanes_that_were_turned_round_are_put_right(prefect_api: ApiCall) -> None:
    here(deployments=(), queues=(QueueSpec("backfill", 1), QueueSpec("live", 2)))
    here(deployments=())
    assert queues(prefect_api)["live"][0] < queues(prefect_api)["backfill"][0]
    assert here(deployments=()).changes == []


def test_a_deployment_follows_its_specification(prefect_api: ApiCall) -> None:
    entrypoint = "flows.convert_raw_sonar.convert_raw_sonar"

    def registered(spec: DeploymentSpec) -> tuple[list[str], dict[str, Any]]:
        changes = here(deployments=(spec,)).changes
        assert here(deployments=(spec,)).changes == []
        return changes, prefect_api("GET", f"/deployments/name/{ONE}")

    plain = DeploymentSpec(entrypoint, "lanes")
    full = DeploymentSpec(
        entrypoint,
        "lanes",
        work_queue="backfill",
        tags=("echodrop", "nightly"),
        cron="30 3 * * *",
        parameters={"output_type": "zarr"},
        job_variables={"stream_output": True},
        concurrency_limit=1,
        collision="CANCEL_NEW",
    )
    _, found = registered(plain)
    assert (found["schedules"], found["global_concurrency_limit"]) == ([], None)
    changes, found = registered(full)
    (change,) = changes
    assert change.startswith("change work queue, job variables, tags, schedule, default param")
    assert change.endswith("concurrency limit of deployment convert-raw-sonar/lanes")
    assert [each["schedule"]["cron"] for each in found["schedules"]] == ["30 3 * * *"]
    assert found["global_concurrency_limit"]["limit"] == 1
    assert found["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert (found["work_queue_name"], found["tags"]) == ("backfill", ["echodrop", "nightly"])
    assert found["parameters"] == {"output_type": "zarr"}
    _, found = registered(plain)
    assert (found["schedules"], found["global_concurrency_limit"]) == ([], None)


def test_what_is_no_flow_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"flows\.deployment\.deployment_specs\.lanes is not a flow"
    ):
        here(deployments=(DeploymentSpec("flows.deployment.deployment_specs.lanes"),))


def test_uploads_start_at_once_though_the_backfill_is_full(prefect_api: ApiCall) -> None:
    """Asked as the worker asks: the whole pool, as many runs as it has room for."""
    deployment = here(deployments=conversions("lanes")[:1], queues=lanes(2)).deployments[ONE]

    def create(lane: str | None) -> str:
        # As the trigger does: the deployment's own lane, or another by name.
        named = {"work_queue_name": lane} if lane else {}
        body = {"parameters": {"raw_file": "a", "sonar_model": "EK60", "output_path": "b"}}
        run = prefect_api("POST", f"/deployments/{deployment}/create_flow_run", body | named)
        return str(run["id"])

    def scheduled(limit: int = 10) -> list[str]:
        answer = prefect_api(
            "POST", f"/work_pools/{POOL}/get_scheduled_flow_runs", {"limit": limit}
        )
        return [each["flow_run"]["id"] for each in answer]

    def start(run: str) -> None:
        state = {"state": {"type": "PENDING"}, "force": True}
        prefect_api("POST", f"/flow_runs/{run}/set_state", state)

    waiting = [create("backfill") for _ in range(4)]
    assert len(scheduled()) == 2, "the backfill takes as many as it may"
    live = create(None)
    assert scheduled(limit=1) == [live], "an upload comes before what waited longer"
    for run in waiting[:2]:
        start(run)
    assert scheduled() == [live], "the backfill is full"
    start(live)
    assert scheduled() == []
    prefect_api("DELETE", f"/flow_runs/{waiting[0]}")
    assert scheduled() == [waiting[2]], "what ends makes room for the next"

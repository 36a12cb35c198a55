"""Small files in one run: the built trigger creates it, and a file's own identity finds it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema

from events.notifications import NotifiedObject
from flows.convert_raw_sonar_batch import convert_raw_sonar_batch
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import PrefectApi
from lambda_trigger.clients.http_client import HttpClient
from lambda_trigger.clients.prefect_connection import PrefectConnection
from lambda_trigger.decisions.outcomes import BACKFILL
from operations.clients.prefect_runs import PrefectRuns
from tests.contract.conftest import ApiCall
from tests.contract.trigger.conftest import Function, rules
from tests.envelopes import s3_event
from tests.file_heads import file_head

BATCH = '[batch]\nup_to_bytes = 50_000\nmax_files = 3\nlanes = ["backfill"]\n'


@pytest.fixture(scope="module")
def batch_deployment(prefect_api: ApiCall, deployment: str) -> str:
    """The batch's deployment beside the other one, with the parameter schema of the real flow."""
    del deployment
    flow = prefect_api("POST", "/flows/", {"name": "convert-raw-sonar-batch"})
    prefect_api(
        "POST",
        "/deployments/",
        {
            "name": "ecs",
            "flow_id": flow["id"],
            "work_pool_name": "echodrop",
            "parameter_openapi_schema": parameter_schema(convert_raw_sonar_batch).model_dump(),
            "enforce_parameter_schema": True,
        },
    )
    return "convert-raw-sonar-batch/ecs"


@pytest.fixture
def batching(start_trigger: Any, prefect_api_url: str, batch_deployment: str) -> Function:
    del batch_deployment
    function: Function = start_trigger(prefect_api_url)
    function.ssm.put_parameter(
        Name=function.rules_parameter,
        Value=rules(function.inbox, function.output) + BATCH,
        Type="String",
        Overwrite=True,
    )
    return function


def message(function: Function, keys: list[str], lane: str) -> str:
    """One message with several uploads, as a backfill sends it."""
    items = []
    for key in keys:
        body = file_head("EK60") + key.encode()
        stored = function.s3.put_object(Bucket=function.inbox, Key=key, Body=body)
        etag = stored["ETag"].strip('"')
        items.append(NotifiedObject(function.inbox, key, len(body), etag, lane=lane))
    return json.dumps(s3_event(items))


def test_small_files_of_a_backfill_share_a_run_and_are_found_by_it(
    batching: Function, prefect_api: ApiCall, prefect_api_url: str
) -> None:
    keys = [f"cruise/{number}.raw" for number in range(4)]
    body = message(batching, keys, BACKFILL)

    assert batching.send(body).result == {"batchItemFailures": []}
    first = batching.lines()
    assert sorted(line["key"] for line in first) == keys
    assert {(line["outcome"], line["reason"]) for line in first} == {("Submitted", "new")}
    by_run: dict[str, list[str]] = {}
    for line in first:
        by_run.setdefault(line["flow_run_id"], []).append(line["key"])
    # The rules allow three files in a batch; the remaining one has its own run.
    assert sorted(map(len, by_run.values())) == [1, 3]
    together = next(run_id for run_id, its in by_run.items() if len(its) == 3)
    run = prefect_api("GET", f"/flow_runs/{together}")
    assert run["work_queue_name"] == BACKFILL
    entries = run["parameters"]["files"]
    assert [entry["raw_file"] for entry in entries] == [
        f"s3://{batching.inbox}/{key}" for key in by_run[together]
    ]
    alone = prefect_api("GET", f"/flow_runs/{next(each for each in by_run if each != together)}")
    assert alone["parameters"]["raw_file"] == f"s3://{batching.inbox}/{keys[3]}"

    # A second delivery finds the same runs, whether they have started or not.
    assert batching.send(body).result == {"batchItemFailures": []}
    again = batching.lines()[len(first) :]
    assert {line["reason"] for line in again} == {"existing"}
    assert {line["key"]: line["flow_run_id"] for line in again} == {
        line["key"]: line["flow_run_id"] for line in first
    }

    identities = [entry["identity"] for entry in entries]
    found = PrefectRuns(prefect_api_url).by_identity([*identities, "0" * 64])
    assert {identity: facts.id for identity, facts in found.items()} == dict.fromkeys(
        identities, together
    )
    own = alone["idempotency_key"]
    asked = PrefectApi(PrefectConnection(HttpClient(), prefect_api_url, None))
    assert asked.existing([*identities, own, "0" * 64], Deadline(10)) == {*identities, own}
    assert all(facts.in_batch and facts.state_type == "SCHEDULED" for facts in found.values())


def test_a_finished_file_of_a_running_batch_has_its_own_state(
    batching: Function, prefect_api: ApiCall, prefect_api_url: str
) -> None:
    batching.send(message(batching, ["a/bad.raw", "a/good.raw"], BACKFILL))
    (run_id,) = {line["flow_run_id"] for line in batching.lines()}
    prefect_api(
        "POST",
        f"/flow_runs/{run_id}/set_state",
        {"state": {"type": "RUNNING", "name": "Running"}, "force": True},
    )
    bad, good = (
        entry["identity"]
        for entry in prefect_api("GET", f"/flow_runs/{run_id}")["parameters"]["files"]
    )
    prefect_api(
        "POST",
        "/task_runs/",
        {
            "flow_run_id": run_id,
            "task_key": "convert_file",
            "dynamic_key": "0",
            "name": f"bad.raw · {bad[:12]}",
            "state": {"type": "FAILED", "name": "BadFile", "message": "cut at byte 7"},
        },
    )
    found = PrefectRuns(prefect_api_url).by_identity([bad, good])
    assert (found[bad].state_name, found[bad].message) == ("BadFile", "cut at byte 7")
    assert found[good].state_type == "RUNNING"

    runs = PrefectRuns(prefect_api_url)
    (running,) = (run for run in runs.in_states(("RUNNING",)) if run.id == run_id)
    assert running.raw_file == f"s3://{batching.inbox}/a/good.raw"
    # Its task was killed: the batch is ended, and each of its files finds it.
    assert str(runs.end(run_id, running.state_id, "no task", retry_at_most=0)) == "ended"
    found_again = runs.end(run_id, running.state_id, "no task", retry_at_most=0)
    assert str(found_again) == "left alone: it is now Crashed"
    ended = {
        run.raw_file.rpartition("/")[2]: run.state_name
        for run in runs.in_states(("FAILED", "CRASHED"))
        if run.id == run_id
    }
    assert ended == {"bad.raw": "BadFile", "good.raw": "Crashed"}


def test_a_batch_with_all_files_finished_still_waits_for_its_task(
    batching: Function, prefect_api: ApiCall, prefect_api_url: str
) -> None:
    batching.send(message(batching, ["z/1.raw", "z/2.raw"], BACKFILL))
    (run_id,) = {line["flow_run_id"] for line in batching.lines()}
    prefect_api(
        "POST",
        f"/flow_runs/{run_id}/set_state",
        {"state": {"type": "RUNNING", "name": "Running"}, "force": True},
    )
    for entry in prefect_api("GET", f"/flow_runs/{run_id}")["parameters"]["files"]:
        identity = entry["identity"][:12]
        prefect_api(
            "POST",
            "/task_runs/",
            {
                "flow_run_id": run_id,
                "task_key": "convert_file",
                "dynamic_key": identity,
                "name": f"file · {identity}",
                "state": {"type": "COMPLETED", "name": "Completed"},
            },
        )
    runs = PrefectRuns(prefect_api_url)
    # All its files have ended, so they would not lead to it.
    assert not [run for run in runs.in_states(("RUNNING",)) if run.id == run_id]
    (found,) = [run for run in runs.with_tasks() if run.id == run_id]
    assert (found.raw_file, found.in_batch) == (f"s3://{batching.inbox}/z/1.raw", True)
    assert (found.lane, found.is_repair) == (BACKFILL, False)
    assert runs.retries(run_id) == 0
    assert str(runs.end(run_id, found.state_id, "no task", retry_at_most=0)) == "ended"
    assert run_id not in {run.id for run in runs.with_tasks()}


def test_a_fix_has_its_own_tagged_run(batching: Function, prefect_api_url: str) -> None:
    body = message(batching, ["m/1.raw", "m/2.raw"], BACKFILL)
    batching.send(body)
    event = json.loads(body)
    for record in event["Records"]:
        record["echodrop"]["repair"] = True
    before = batching.lines()
    batching.send(json.dumps(event))
    again = batching.lines()[len(before) :]
    assert [line["reason"] for line in again] == ["new", "new"]
    own = {line["flow_run_id"] for line in again}
    assert len(own) == 2
    found = [run for run in PrefectRuns(prefect_api_url).in_states(()) if run.id in own]
    assert [(run.is_repair, run.lane, run.in_batch) for run in found] == [
        (True, BACKFILL, False)
    ] * 2


def test_small_live_files_have_a_run_each(batching: Function) -> None:
    batching.send(message(batching, ["b/1.raw", "b/2.raw"], "live"))
    assert len({line["flow_run_id"] for line in batching.lines()}) == 2

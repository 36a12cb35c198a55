"""Prefect's own alerts on a real server: written once, kept as the file has them, and they fire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any
from uuid import uuid4

import pytest
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import Posture
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.convert_raw_sonar import convert_raw_sonar
from flows.deployment.automations import (
    AutomationsError,
    Registration,
    read_automations,
    register_automations,
)
from flows.deployment.deployment_specs import conversions
from flows.deployment.deployments import register
from tests.contract.deployment.blocks import make_webhook_block
from tests.http_servers import Reply, answering

# One server for all of them.
pytestmark = pytest.mark.xdist_group("prefect-server")

ApiCall = Callable[..., Any]
POOL = "notified"
BLOCK = "webhook/watch"


@pytest.fixture
def heard() -> Iterator[tuple[str, Queue[dict[str, Any]]]]:
    """A webhook's address, and what it is sent."""
    sent: Queue[dict[str, Any]] = Queue()

    def hear(_: object, body: Any) -> Reply:
        sent.put(body)
        return 204, b"", {}

    with answering(hear) as origin:
        yield f"{origin}/", sent


@pytest.fixture
def block(
    heard: tuple[str, Queue[dict[str, Any]]], prefect_api_url: str, prefect_api: ApiCall
) -> Iterator[str]:
    """The name of a webhook's block on the server."""
    made = make_webhook_block(prefect_api, "watch", heard[0])
    with temporary_settings({PREFECT_API_URL: prefect_api_url}):
        yield BLOCK
    for automation in prefect_api("POST", "/automations/filter", {}):
        prefect_api("DELETE", f"/automations/{automation['id']}")
    prefect_api("DELETE", f"/block_documents/{made}")
    for pool in prefect_api("POST", "/work_pools/filter", {}):
        if pool["name"] == POOL:
            prefect_api("DELETE", f"/work_pools/{POOL}")


def register_all(block: str, *, dry_run: bool = False, **changed: Any) -> Registration:
    done = Registration("any", dry_run)
    first, *rest = read_automations()
    with get_client(sync_client=True) as client:
        register_automations(client, done, [replace(first, **changed), *rest], block)
    return done


def registered(prefect_api: ApiCall) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in prefect_api("POST", "/automations/filter", {})}


def test_they_are_written_once_and_follow_the_file(block: str, prefect_api: ApiCall) -> None:
    names = [automation.name for automation in read_automations()]
    assert register_all(block, dry_run=True).changes == [f"create automation {n}" for n in names]
    assert registered(prefect_api) == {}
    register_all(block)
    assert register_all(block).changes == []
    found = registered(prefect_api)
    assert sorted(found) == sorted(names)

    # What an operator has switched off stays so.
    off = found[names[0]]
    prefect_api("PATCH", f"/automations/{off['id']}", {"enabled": False})
    changed = register_all(block, says="other words")
    assert changed.changes == [f"change actions of automation {names[0]}"]
    now = registered(prefect_api)[names[0]]
    assert (now["id"], now["enabled"]) == (off["id"], False)
    assert "other words" in now["actions"][0]["payload"]

    renamed = register_all(block, name="echodrop: renamed")
    assert renamed.changes == [
        "create automation echodrop: renamed",
        f"delete automation {names[0]}",
    ]

    none = register_all("")
    assert len(none.changes) == len(names)
    assert none.notes == ["no Prefect automations: NotifyBlock is empty"]
    assert registered(prefect_api) == {}


def test_a_block_that_is_not_there_is_named(block: str) -> None:
    with pytest.raises(
        AutomationsError, match="block webhook/nobody: does not exist on the server"
    ):
        register_all("webhook/nobody")


@pytest.fixture
def run(block: str, prefect_api: ApiCall) -> Callable[..., str]:
    """Make a run of a registered deployment, named, in a lane and a state; return its id."""
    specs = conversions("notified")
    done = register(work_pool=POOL, work_pool_type="process", deployments=specs, notify_block=block)
    deployment = done.deployments["convert-raw-sonar/notified"]

    def make(name: str, /, lane: str, **state: str) -> str:
        body = {"name": f"run {name}", "work_queue_name": lane, "enforce_parameter_schema": False}
        made = prefect_api("POST", f"/deployments/{deployment}/create_flow_run", body)
        prefect_api("POST", f"/flow_runs/{made['id']}/set_state", {"state": state, "force": True})
        return str(made["id"])

    return make


def test_a_failed_run_is_reported_and_a_bad_file_is_not(
    heard: tuple[str, Queue[dict[str, Any]]],
    run: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = tmp_path / "bad.raw"
    raw.write_bytes(b"no echosounder wrote this")

    def convert(model: str) -> None:
        named = convert_raw_sonar.with_options(flow_run_name=f"run {model}")
        with tags("echodrop"):
            named(str(raw), model, output_path=str(tmp_path), return_state=True)

    convert("EK80")
    convert("EK90")
    monkeypatch.setattr("flows.conversion.open_raw", lambda *_: int("odd"))
    convert("EK60")
    run("long", "backfill", type="FAILED", name="TimedOut", message="after an hour")
    texts = sorted(heard[1].get(timeout=180)["text"].partition(" http")[0] for _ in range(3))
    assert [text.partition(" known values")[0] for text in texts] == [
        "run EK60 failed: Flow run encountered an exception: ValueError: invalid literal for int() with base 10: 'odd'",
        "run EK90 failed: InvalidParameters: sonar_model is 'EK90';",
        "run long took too long: after an hour",
    ]
    assert heard[1].empty()


def test_a_late_upload_a_dead_run_and_one_without_a_sign_of_life_are_reported(
    block: str,
    heard: tuple[str, Queue[dict[str, Any]]],
    run: Callable[..., str],
    prefect_api: ApiCall,
) -> None:
    # As the file has them, but for the time. Prefect takes 10 s, but on a busy machine the end of a
    # run becomes an event later than that.
    quick = [
        replace(each, trigger=each.trigger.model_copy(update={"within": timedelta(seconds=30)}))
        for each in read_automations()
        if each.trigger.posture == Posture.Proactive
    ]
    with get_client(sync_client=True) as client:
        register_automations(client, Registration(POOL), quick, block)

    def beat(run_id: str) -> None:
        # As Prefect's engine sends it.
        event = {
            "id": str(uuid4()),
            "event": "prefect.flow-run.heartbeat",
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            "related": [
                {"prefect.resource.id": "prefect.tag.echodrop", "prefect.resource.role": "tag"}
            ],
        }
        prefect_api("POST", "/events", [event])

    run("upload", "live", type="SCHEDULED", name="Late")
    run("archived", "backfill", type="SCHEDULED", name="Late")
    beat(run("silent", "live", type="RUNNING"))
    run("dead", "live", type="CRASHED", name="Crashed", message="exit code 139")
    retried = run("retried", "live", type="CRASHED", name="Crashed", message="exit code 137")
    again = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    prefect_api("POST", f"/flow_runs/{retried}/set_state", again)
    done = run("done", "live", type="RUNNING")
    beat(done)
    state = {"state": {"type": "COMPLETED"}, "force": True}
    prefect_api("POST", f"/flow_runs/{done}/set_state", state)
    texts = sorted(heard[1].get(timeout=180)["text"].partition(":")[0] for _ in range(3))
    assert texts == [
        "run dead crashed",
        "run silent is running and sends no heartbeat",
        "run upload has waited for 15 minutes",
    ]
    assert heard[1].empty()

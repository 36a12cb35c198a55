"""The client against an HTTP server with prepared answers; the contract tests use the real Prefect."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flows.core import run_ends
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import PrefectApi, outcome_of
from lambda_trigger.clients.http_client import HttpClient
from lambda_trigger.clients.prefect_connection import PrefectConnection, authorization_of
from lambda_trigger.clients.transport_errors import (
    ConfigurationError,
    DeniedError,
    MissingError,
    OutOfTimeError,
    RefusedError,
    ThrottledError,
    TransportError,
    UnavailableError,
)
from lambda_trigger.decisions.run_identity import RunRequest
from tests.unit.trigger.conftest import HttpStub

DEPLOYMENT = {"id": "11111111-1111-1111-1111-111111111111"}
RUN = {"id": "run-1", "name": "a", "state": {"name": "Scheduled"}}
WANTED = RunRequest("flow/ecs", "a", ["t"], "key", {"raw_file": "s3://b/k"}, {}, "backfill")


@pytest.fixture
def prefect(http_stub: HttpStub) -> HttpStub:
    http_stub.default = RUN
    return http_stub


def client(prefect: HttpStub, **secret: Any) -> PrefectApi:
    url, read_secret = f"{prefect.origin}/api", secret.get("read_secret")
    return PrefectApi(PrefectConnection(HttpClient(), url, read_secret))


def test_a_run_is_created_by_the_id_of_its_deployment(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(201)
    run = client(prefect).create_run(WANTED, Deadline(5))
    assert (run.id, run.name, run.state, run.created) == ("run-1", "a", "Scheduled", True)
    look_up, create = prefect.asked
    assert look_up[:2] == ("GET", "/api/deployments/name/flow/ecs")
    assert create[:2] == ("POST", f"/api/deployments/{DEPLOYMENT['id']}/create_flow_run")
    assert create[3] == {
        "name": "a",
        "tags": ["t"],
        "idempotency_key": "key",
        "parameters": {"raw_file": "s3://b/k"},
        "job_variables": {},
        "work_queue_name": "backfill",
    }


def test_200_means_an_existing_run(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(200)
    assert client(prefect).create_run(WANTED, Deadline(5)).created is False


def test_the_deployment_id_and_the_connection_are_reused(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(201)
    api = client(prefect)
    for _ in range(5):
        api.create_run(WANTED, Deadline(5))
    assert len(prefect.asked) == 6
    assert prefect.connections == 1


def test_a_recreated_deployment_is_looked_up_again(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(201)
    prefect.answer(404)
    prefect.answer(200, {"id": "22222222-2222-2222-2222-222222222222"})
    prefect.answer(201)
    api = client(prefect)
    api.create_run(WANTED, Deadline(5))
    assert api.create_run(WANTED, Deadline(5)).created
    assert "22222222" in prefect.asked[-1][1]


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        (400, RefusedError, 1),
        (401, DeniedError, 1),
        (403, DeniedError, 1),
        (404, MissingError, 1),
        (409, RefusedError, 1),
        (422, RefusedError, 1),
        (302, RefusedError, 1),
        (429, ThrottledError, 4),
        (500, UnavailableError, 4),
        (503, UnavailableError, 4),
        (0, UnavailableError, 4),
    ],
)
def test_each_error_status_has_its_own_transport_error(
    prefect: HttpStub, status: int, error: type[TransportError], requests: int
) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(status, {"detail": "no such luck"})
    with pytest.raises(error) as raised:
        client(prefect).create_run(WANTED, Deadline(20))
    assert raised.value.service == "prefect"
    assert raised.value.operation == "create_flow_run"
    if status:
        assert raised.value.status == status
        assert "no such luck" in str(raised.value)
    assert len(prefect.asked) == 1 + requests


def test_a_transient_fault_is_retried(prefect: HttpStub) -> None:
    prefect.answer(503)
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(0)
    prefect.answer(429)
    prefect.answer(201)
    assert client(prefect).create_run(WANTED, Deadline(20)).created


def test_retry_after_is_honoured_before_the_deadline(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(429, Retry_After="0.3")
    prefect.answer(201)
    started = time.monotonic()
    client(prefect).create_run(WANTED, Deadline(20))
    assert time.monotonic() - started >= 0.3


def test_a_retry_after_beyond_the_deadline_fails_at_once(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(429, Retry_After="60")
    with pytest.raises(ThrottledError):
        client(prefect).create_run(WANTED, Deadline(2))
    assert len(prefect.asked) == 2


def test_without_time_nothing_is_sent(prefect: HttpStub) -> None:
    with pytest.raises(OutOfTimeError):
        client(prefect).create_run(WANTED, Deadline(0))
    assert prefect.asked == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"\xff"])
def test_an_answer_that_is_not_from_prefect_is_refused(prefect: HttpStub, body: bytes) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(201, body)
    with pytest.raises(RefusedError, match="not an answer of Prefect"):
        client(prefect).create_run(WANTED, Deadline(5))


def test_the_secret_is_cached_and_read_again_after_401(prefect: HttpStub) -> None:
    secrets = iter(['{"api_key": "old"}', '{"api_key": "new"}'])
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(201)
    prefect.answer(401)
    prefect.answer(201)
    api = client(prefect, read_secret=lambda _: next(secrets))
    api.create_run(WANTED, Deadline(5))
    assert api.create_run(WANTED, Deadline(5)).created
    assert [asked[2] for asked in prefect.asked] == ["Bearer old"] * 3 + ["Bearer new"]


def test_a_wrong_secret_is_denied(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(201)
    prefect.answer(401)
    api = client(prefect, read_secret=lambda _: '{"auth_string": "a:b"}')
    api.create_run(WANTED, Deadline(5))
    with pytest.raises(DeniedError):
        api.create_run(WANTED, Deadline(5))
    assert len(prefect.asked) == 4


def test_a_paused_run_is_rescheduled_when_it_is_resumed(prefect: HttpStub) -> None:
    prefect.answer(200, DEPLOYMENT)
    prefect.answer(201)
    paused = RunRequest("flow/ecs", "a", [], "key", {}, {}, "live", paused="too large")
    client(prefect).create_run(paused, Deadline(5))
    state = prefect.asked[-1][3]["state"]
    assert state["type"] == "PAUSED"
    assert state["message"] == "too large"
    assert state["state_details"] == {"pause_reschedule": True}


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        ('{"api_key": "pnu_1"}', "Bearer pnu_1"),
        ('{"auth_string": "admin:pässword"}', "Basic YWRtaW46cMOkc3N3b3Jk"),
    ],
)
def test_secrets_of_both_kinds(secret: str, header: str) -> None:
    assert authorization_of(secret) == header


@pytest.mark.parametrize("secret", ["", "hunter2", "{}", '{"api_key": 3}', '["api_key"]'])
def test_a_wrong_secret_is_named_but_not_shown(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as error:
        authorization_of(secret)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "tags", "outcome"),
    [
        ("Failed", ["echodrop", "outcome:Archived"], "Archived"),
        ("Failed", ["echodrop"], "Failed"),
        # An earlier end of a run that was started again.
        ("Running", ["outcome:Archived"], "Running"),
        # A run of an earlier release.
        ("Archived", [], "Archived"),
    ],
)
def test_the_outcome_of_a_failed_run_is_its_tag(name: str, tags: list[str], outcome: str) -> None:
    assert outcome_of({"state": {"name": name}, "tags": tags}) == outcome
    # The flows, which the trigger cannot import, say the same.
    assert run_ends.outcome_of(name, tags) == outcome

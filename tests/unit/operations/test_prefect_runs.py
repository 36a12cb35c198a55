"""Requests to Prefect's API, and the facts made from its answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from operations.clients.connections import connect
from operations.clients.prefect_api import (
    CLOUD_REQUESTS_A_MINUTE,
    RATE,
    requests_a_minute,
)
from operations.clients.prefect_runs import PrefectRuns
from operations.clients.stack_settings import SettingMissingError
from tests.http_servers import Reply, answering
from watchdog.prefect_http import PrefectUnreachableError, authorization


def run(number: int, state: str = "FAILED", name: str = "BadFile") -> dict[str, Any]:
    return {
        "id": f"run-{number}",
        "idempotency_key": f"key-{number}",
        "run_count": 2,
        "parameters": {"raw_file": f"s3://inbox/{number}.raw"},
        "state": {
            "id": f"state-{number}",
            "type": state,
            "name": name,
            "message": None,
            "timestamp": "2026-01-01T00:00:00Z",
        },
    }


@dataclass
class Api:
    """Prefect's API with these runs; `busy` answers of 503 come first."""

    url: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=lambda: ["Scheduled", "AwaitingRetry", "Crashed"])
    pools: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    busy: int = 0
    verdict: dict[str, Any] = field(default_factory=lambda: {"status": "ACCEPT"})
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if self.busy:
            self.busy -= 1
            return 503, {"detail": "database is locked"}
        self.asked.append((method, path, body))
        if path in self.answers:
            return 200, self.answers[path]
        if path == "/flow_runs/filter":
            wanted = body["flow_runs"]
            if body["flows"] == {"name": {"any_": ["convert-raw-sonar-batch"]}}:
                tags = set(wanted.get("tags", {}).get("any_", ()))
                found = [each for each in self.batches if not tags or tags & set(each["tags"])]
                return 200, found[body["offset"] : body["offset"] + body["limit"]]
            keys = wanted.get("idempotency_key", {}).get("any_")
            names = wanted.get("state", {}).get("name", {}).get("any_")
            tags = wanted.get("tags", {}).get("any_")
            found = [
                each
                for each in self.runs
                if (keys is None or each["idempotency_key"] in keys)
                and (names is None or each["state"]["name"] in names)
                and (tags is None or set(tags) & set(each["tags"]))
            ]
            return 200, found[body["offset"] : body["offset"] + body["limit"]]
        if path == "/flow_run_states/?flow_run_id=run-1":
            return 200, [
                {"name": name, "timestamp": "2026-01-01T00:00:00Z"} for name in self.states
            ]
        return self._of_one(path)

    def _of_one(self, path: str) -> tuple[int, Any]:
        if path.endswith("/set_state"):
            return 200, self.verdict
        if path.startswith("/work_pools/"):
            return 200, self.pools[unquote(path.rpartition("/")[2])]
        found = [each for each in self.runs if path == f"/flow_runs/{each['id']}"]
        return (200, found[0]) if found else (404, {"detail": "not found"})


@pytest.fixture
def api() -> Iterator[Api]:
    stub = Api()

    def answer(asked: BaseHTTPRequestHandler, body: Any) -> Reply:
        stub.authorizations.add(asked.headers.get("Authorization"))
        return *stub.answer(asked.command, asked.path, body), {}

    with answering(answer) as stub.url:
        yield stub


def test_runs_are_found_by_identity_in_pages_of_200(api: Api) -> None:
    api.runs = [run(number) for number in range(450)]
    found = PrefectRuns(api.url).by_identity([f"key-{number}" for number in range(0, 900, 2)])
    assert set(found) == {f"key-{number}" for number in range(0, 450, 2)}
    by_key = [body["flow_runs"].get("idempotency_key") for _, _, body in api.asked]
    assert [len(keys["any_"]) for keys in by_key if keys] == [200, 200, 200, 50]
    # What has no run of its own is looked up among the batches, in requests that SQLite accepts.
    by_tag = [body["flow_runs"]["tags"] for _, _, body in api.asked if "tags" in body["flow_runs"]]
    assert [len(tags["any_"]) for tags in by_tag] == [100, 75, 50]
    assert by_key.count(None) == 3
    facts = found["key-4"]
    assert (facts.id, facts.state_id, facts.state_type) == ("run-4", "state-4", "FAILED")
    assert (facts.state_name, facts.message, facts.starts) == ("BadFile", "", 2)
    assert (facts.since, facts.raw_file) == (datetime(2026, 1, 1, tzinfo=UTC), "s3://inbox/4.raw")


@pytest.mark.parametrize("count", [0, 199, 200, 401])
def test_all_runs_in_a_state_are_read_page_by_page(api: Api, count: int) -> None:
    api.runs = [run(number) for number in range(count)]
    found = list(PrefectRuns(api.url).in_states(("FAILED",), datetime(2026, 1, 2, tzinfo=UTC)))
    assert [each.id for each in found] == [each["id"] for each in api.runs]
    assert api.asked[0][2]["flow_runs"] == {
        "state": {"type": {"any_": ["FAILED"]}},
        "end_time": {"after_": "2026-01-02T00:00:00+00:00"},
    }


def test_runs_are_read_by_the_names_of_their_states_and_between_two_times(api: Api) -> None:
    tagged = {**run(2, name="Failed"), "tags": ["echodrop", "outcome:BadFile"]}
    tagged["state"]["message"] = "BadFile: cut"
    other = {**run(3, name="Failed"), "tags": ["echodrop", "outcome:DiskFault"]}
    # Of an earlier end, which the name of the state does not tell.
    stale = {**run(4, name="TimedOut"), "tags": ["outcome:BadFile"]}
    api.runs = [{**run(1), "deployment_version": "0.1.0"}, tagged, other, stale]
    since, until = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
    found, named = PrefectRuns(api.url).in_states((), since, until, names=("BadFile",))
    assert (named.id, named.state_name, named.message) == ("run-2", "BadFile", "cut")
    assert (found.version, found.parameters["raw_file"]) == ("0.1.0", "s3://inbox/1.raw")
    assert api.asked[0][2]["flow_runs"] == {
        "state": {"name": {"any_": ["BadFile"]}},
        "end_time": {
            "after_": "2026-01-02T00:00:00+00:00",
            "before_": "2026-01-03T00:00:00+00:00",
        },
    }


def test_the_runs_and_the_limit_of_a_lane_are_read(api: Api) -> None:
    api.answers = {"/flow_runs/count": 7, "/work_queues/filter": [{"concurrency_limit": 4}]}
    runs = PrefectRuns(api.url)
    assert (runs.unfinished_in("backfill"), runs.at_once_in("backfill")) == (7, 4)
    assert api.asked[0][2]["flow_runs"] == {
        "work_queue_name": {"any_": ["backfill"]},
        "state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}},
    }
    for unlimited in ([], [{"concurrency_limit": None}]):
        api.answers["/work_queues/filter"] = unlimited
        assert runs.at_once_in("backfill") is None


def test_a_run_is_retried_as_the_ui_does(api: Api) -> None:
    api.runs = [run(1)]
    assert str(PrefectRuns(api.url).retry("run-1", "state-1", at_most=3)) == "retried"
    method, path, body = api.asked[-1]
    assert (method, path) == ("POST", "/flow_runs/run-1/set_state")
    assert body["state"] == {"type": "SCHEDULED", "name": "AwaitingRetry"}


def test_a_run_that_has_moved_on_is_left_alone(api: Api) -> None:
    api.runs = [run(1, "RUNNING", "Running")]
    result = PrefectRuns(api.url).retry("run-1", "an earlier state", at_most=3)
    assert str(result) == "left alone: it is now Running"
    assert not any(path.endswith("set_state") for _, path, _ in api.asked)


def test_a_run_that_retries_do_not_start_is_retried_up_to_the_limit(api: Api) -> None:
    api.runs, api.states = [run(1, "CRASHED", "Crashed")], ["AwaitingRetry", "Crashed"] * 3
    result = PrefectRuns(api.url).retry("run-1", "state-1", at_most=3)
    assert str(result) == "left alone: it was already retried 3 times"
    assert not any(path.endswith("set_state") for _, path, _ in api.asked)


def set_states(api: Api) -> list[Any]:
    return [body["state"] for _, path, body in api.asked if path.endswith("/set_state")]


def test_a_run_whose_task_is_gone_is_ended_and_then_retried(api: Api) -> None:
    api.runs = [run(1, "RUNNING", "Running")]
    api.verdict = {"status": "ACCEPT", "state": {"id": "state-1"}}
    result = PrefectRuns(api.url).end("run-1", "state-1", "no task", retry_at_most=3)
    assert str(result) == "ended, retried"
    crashed, retried = set_states(api)
    assert crashed == {"type": "CRASHED", "message": "Found by reconcile: no task"}
    assert retried["name"] == "AwaitingRetry"


def test_a_dead_run_that_nobody_needs_is_only_ended(api: Api) -> None:
    api.runs = [run(1, "PENDING", "Pending"), run(2, "CANCELLING", "Cancelling")]
    runs = PrefectRuns(api.url)
    assert str(runs.end("run-1", "state-1", "why", retry_at_most=0)) == "ended"
    # A cancelled run stays cancelled.
    assert str(runs.end("run-2", "state-2", "why", retry_at_most=3)) == "ended"
    assert [state["type"] for state in set_states(api)] == ["CRASHED", "CANCELLED"]


def test_a_run_that_has_ended_meanwhile_is_not_ended_again(api: Api) -> None:
    api.runs = [run(1, "COMPLETED", "Completed")]
    result = PrefectRuns(api.url).end("run-1", "running", "why", retry_at_most=3)
    assert str(result) == "left alone: it is now Completed"
    assert set_states(api) == []


@pytest.mark.parametrize(
    ("kind", "default", "cluster"),
    [("ecs", "echodrop", "echodrop"), ("ecs", None, "default"), ("process", None, None)],
)
def test_the_cluster_is_the_work_pools(
    api: Api, kind: str, default: str | None, cluster: str | None
) -> None:
    api.pools["a pool"] = {
        "type": kind,
        "base_job_template": {"variables": {"properties": {"cluster": {"default": default}}}},
    }
    assert PrefectRuns(api.url).cluster_of("a pool") == cluster


def test_a_refusal_by_prefect_is_reported(api: Api) -> None:
    api.runs, api.verdict = [run(1)], {"status": "ABORT", "details": {"reason": "no deployment"}}
    result = PrefectRuns(api.url).retry("run-1", "state-1", at_most=3)
    assert str(result) == "Prefect refused: no deployment"


def test_a_request_to_a_busy_server_is_retried(api: Api) -> None:
    api.runs, api.busy = [run(1)], 2
    assert set(PrefectRuns(api.url).by_identity(["key-1"])) == {"key-1"}


def test_an_error_names_the_request(api: Api) -> None:
    with pytest.raises(PrefectUnreachableError, match=r"GET /flow_runs/gone: HTTP 404"):
        PrefectRuns(api.url).retry("gone", "state", at_most=3)


def test_requests_are_authorized_at_cloud_and_at_an_own_server(api: Api) -> None:
    for header in (authorization("key", "user:word"), authorization(None, "user:word")):
        PrefectRuns(api.url, header).by_identity(["key"])
    PrefectRuns(api.url, authorization(None, None)).by_identity(["key"])
    assert api.authorizations == {"Bearer key", "Basic dXNlcjp3b3Jk", None}


def task(identity: str, state: str, name: str) -> dict[str, Any]:
    state_of_file = {"id": f"state of {name}", "type": state, "name": name, "message": "a.raw: cut"}
    return {
        "name": f"a.raw · {identity[:12]}",
        "state": state_of_file | {"timestamp": "2026-01-02T00:00:00Z"},
    }


def batch_of(*identities: str) -> dict[str, Any]:
    files = [{"raw_file": f"s3://inbox/{each[0]}.raw", "identity": each} for each in identities]
    return run(9, "RUNNING", "Running") | {"parameters": {"files": files}}


def test_a_file_of_a_batch_has_its_own_end_and_until_then_the_batchs(api: Api) -> None:
    bad, fine, begun, waiting = (letter * 64 for letter in "abcd")
    tags = [f"file:{identity}" for identity in (bad, fine, begun, waiting)]
    api.batches = [batch_of(bad, fine, begun, waiting) | {"tags": ["tier:small", *tags]}]
    api.answers["/task_runs/filter"] = [
        task(bad, "FAILED", "BadFile"),
        task(fine, "COMPLETED", "Completed"),
        task(begun, "RUNNING", "Running"),
    ]
    found = PrefectRuns(api.url).by_identity([bad, fine, begun, waiting, "e" * 64])
    assert {identity[0]: facts.state_name for identity, facts in found.items()} == {
        "a": "BadFile",
        "b": "Completed",
        "c": "Running",
        "d": "Running",
    }
    assert (found[bad].id, found[bad].message, found[bad].in_batch) == ("run-9", "a.raw: cut", True)
    # These are compared with the parameters that the trigger would request now.
    assert found[bad].parameters == {"raw_file": "s3://inbox/a.raw"}


@pytest.mark.parametrize(
    ("states", "names", "files"),
    [
        (("RUNNING",), (), ["c", "d"]),
        (("FAILED", "CRASHED"), (), ["a"]),
        ((), ("BadFile",), ["a"]),
        ((), ("Completed",), ["b"]),
    ],
)
def test_a_batch_is_reported_file_by_file(
    api: Api, states: tuple[str, ...], names: tuple[str, ...], files: list[str]
) -> None:
    bad, fine, begun, waiting = (letter * 64 for letter in "abcd")
    api.batches = [batch_of(bad, fine, begun, waiting) | {"tags": []}]
    api.answers["/task_runs/filter"] = [
        task(bad, "FAILED", "BadFile"),
        task(fine, "COMPLETED", "Completed"),
        task(begun, "RUNNING", "Running"),
    ]
    found = list(PrefectRuns(api.url).in_states(states, names=names))
    assert [each.raw_file for each in found] == [f"s3://inbox/{file}.raw" for file in files]
    assert {each.id for each in found} == {"run-9"}
    asked = next(
        body
        for _, path, body in api.asked
        if body["flows"]["name"]["any_"] != ["convert-raw-sonar"]
    )
    assert "name" not in asked["flow_runs"]["state"]


def test_a_files_own_run_takes_precedence_over_a_batch(api: Api) -> None:
    api.runs = [run(1)]
    api.batches = [batch_of("key-1") | {"tags": ["file:key-1"]}]
    found = PrefectRuns(api.url).by_identity(["key-1"])
    assert (found["key-1"].id, found["key-1"].in_batch) == ("run-1", False)


WORKSPACE = "https://api.prefect.cloud/api/accounts/9a67b081/workspaces/b3a7f1c2"


@pytest.mark.parametrize(
    ("url", "configured", "rate"),
    [
        (WORKSPACE, None, CLOUD_REQUESTS_A_MINUTE),
        # The template's 0 selects the default for the server.
        (WORKSPACE, 0.0, CLOUD_REQUESTS_A_MINUTE),
        (WORKSPACE, 2000.0, 2000.0),
        ("https://prefect.example.org/api", None, None),
        ("https://prefect.example.org/api", 0.0, None),
        ("https://prefect.example.org/api", 60.0, 60.0),
    ],
)
def test_the_default_rate_leaves_room_in_clouds_smallest_plan(
    url: str, configured: float | None, rate: float | None
) -> None:
    assert requests_a_minute(url, configured) == rate


@pytest.mark.parametrize("configured", ["many", "-1", "inf", "nan"])
def test_an_invalid_rate_is_refused_before_any_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configured: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    rules = tmp_path / "rules.toml"
    rules.write_text(
        'version = 1\ninbox_bucket = "inbox"\noutput_bucket = "output"\n'
        '[[prefix]]\nprefix = ""\ndeployment = "convert-raw-sonar/ecs"\n'
    )
    monkeypatch.setenv("PREFECT_API_URL", WORKSPACE)
    monkeypatch.setenv(RATE, configured)
    with pytest.raises(SettingMissingError, match=f"{RATE}={configured}"):
        connect(rules)

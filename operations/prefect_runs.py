"""Flow runs, read and retried through Prefect's API, without the seconds that importing Prefect takes."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError

from operations.classification import RunFacts

# The server's own limit on a page (PREFECT_SERVER_API_DEFAULT_LIMIT).
PAGE = 200


_RETRIED = "AwaitingRetry"
_FLOW, _BATCH = "convert-raw-sonar", "convert-raw-sonar-batch"
# Of a file's identity in the name of its task run (flows.batch_entries).
_IDENTITY_SHOWN = 12


class PrefectUnavailableError(Exception):
    """Prefect's API did not answer as it should."""


class FlowRuns(Protocol):
    """What is asked of Prefect."""

    def by_identity(self, identities: Collection[str]) -> dict[str, RunFacts]:
        """The runs of these identities, as far as there are any."""

    def in_states(
        self,
        states: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        names: Sequence[str] = (),
    ) -> Iterator[RunFacts]:
        """All runs in these types of state, of these names; only those that ended between two times."""

    def retry(self, run_id: str, state_id: str, *, at_most: int | None) -> str:
        """Start a run once more, no oftener than that; what came of it, in words."""

    def end(self, run_id: str, state_id: str, why: str, *, retry_at_most: int | None) -> str:
        """End a run whose task is gone, then start it once more, no oftener than that; what came of it, in words."""


def authorization(api_key: str | None, auth_string: str | None) -> str | None:
    """The Authorization header of Prefect Cloud's key, or of a server's `user:password`."""
    if api_key:
        return f"Bearer {api_key}"
    if auth_string:
        return "Basic " + base64.b64encode(auth_string.encode()).decode()
    return None


class PrefectRuns:
    """Prefect's API at `url`. A 429, a 5xx and a broken connection are asked again, with back-off."""

    def __init__(self, url: str, authorization: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"content-type": "application/json"}
        if authorization:
            self._headers["authorization"] = authorization
        self._http = urllib3.PoolManager(
            retries=urllib3.Retry(
                6,
                status_forcelist=[429, 500, 502, 503, 504],
                allowed_methods=None,
                backoff_factor=0.2,
            ),
            timeout=urllib3.Timeout(30),
        )

    def by_identity(self, identities: Collection[str]) -> dict[str, RunFacts]:
        """The runs of these idempotency keys, by key: one's own, else the batch that has it.

        Raises:
            PrefectUnavailableError: no answer.
        """
        found: dict[str, RunFacts] = {}
        wanted = list(identities)
        for start in range(0, len(wanted), PAGE):
            batch = wanted[start : start + PAGE]
            for run in self._page({"idempotency_key": {"any_": batch}}, 0, _FLOW):
                found[run["idempotency_key"]] = run_facts(run)
            found |= self._in_batches([each for each in batch if each not in found])
        return found

    def _in_batches(self, identities: Collection[str]) -> dict[str, RunFacts]:
        """The latest batch of each of these files, as it stands with the file."""
        if not identities:
            return {}
        wanted = {"tags": {"any_": [f"file:{identity}" for identity in identities]}}
        found = {
            identity: facts
            for run in self._pages(wanted, _BATCH)
            for identity, facts in self._files_of(run)
        }
        return {identity: found[identity] for identity in identities if identity in found}

    def _files_of(self, batch: dict[str, Any]) -> Iterator[tuple[str, RunFacts]]:
        """A batch as it stands with each of its files, by the file's identity; empty where it has none."""
        ends = self._file_states(batch["id"])
        entries = (batch.get("parameters") or {}).get("files") or ()
        for entry in (each for each in entries if isinstance(each, dict)):
            identity = str(entry.get("identity") or "")
            state = ends.get(identity[:_IDENTITY_SHOWN]) if identity else None
            yield identity, file_facts(batch, entry, state)

    def _file_states(self, run_id: str) -> dict[str, dict[str, Any]]:
        """State of each file's task run in a batch, by the beginning of the file's identity."""
        states: dict[str, dict[str, Any]] = {}
        seen = 0
        while True:
            wanted = {"flow_runs": {"id": {"any_": [run_id]}}, "limit": PAGE, "offset": seen}
            page = self._ask(
                "POST", "/task_runs/filter", wanted | {"sort": "EXPECTED_START_TIME_ASC"}
            )
            # A batch that ran again has later task runs of the same names.
            states |= {task["name"].rpartition(" · ")[2]: task["state"] for task in page}
            seen += len(page)
            if len(page) < PAGE:
                return states

    def in_states(
        self,
        states: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        names: Sequence[str] = (),
    ) -> Iterator[RunFacts]:
        """All conversions in these types of state, the earliest expected first: runs of one file, then batches.

        A batch is one for each of its files, as it stands with the file; its
        own state is of these types too, and it is the batch that ended at such a time.

        Args:
            states: RUNNING, FAILED and so on; none for any.
            since: only runs that ended at this time or after.
            until: only runs that ended at this time or before.
            names: only states of these names, such as BadFile.

        Raises:
            PrefectUnavailableError: no answer.
        """
        state = {"type": list(states), "name": list(names)}
        wanted: dict[str, Any] = {
            "state": {what: {"any_": of} for what, of in state.items() if of},
        }
        ended = {"after_": since, "before_": until}
        if since or until:
            wanted["end_time"] = {side: at.isoformat() for side, at in ended.items() if at}
        yield from (run_facts(run) for run in self._pages(wanted, _FLOW) if run.get("state"))
        # By name a file's end is another than its batch's.
        wanted["state"] = {what: of for what, of in wanted["state"].items() if what != "name"}
        for run in self._pages(wanted, _BATCH):
            for _, facts in self._files_of(run) if run.get("state") else ():
                if (not states or facts.state_type in states) and (
                    not names or facts.state_name in names
                ):
                    yield facts

    def unended_in(self, work_queue: str) -> int:
        """How many runs of a work queue wait for a task, or have one.

        Raises:
            PrefectUnavailableError: no answer.
        """
        wanted = {
            "work_queue_name": {"any_": [work_queue]},
            "state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}},
        }
        count: int = self._ask("POST", "/flow_runs/count", {"flow_runs": wanted})
        return count

    def at_once_in(self, work_queue: str) -> int | None:
        """How many runs of a work queue are started at a time; None where that is not limited.

        Raises:
            PrefectUnavailableError: no answer.
        """
        wanted = {"work_queues": {"name": {"any_": [work_queue]}}}
        queues = self._ask("POST", "/work_queues/filter", wanted)
        limits = [queue["concurrency_limit"] for queue in queues]
        return None if not limits or None in limits else sum(limits)

    def retry(self, run_id: str, state_id: str, *, at_most: int | None) -> str:
        """Start a run once more, as Retry in the UI does, if it still is in the state it was seen in.

        How often that was done is counted in the run's history of states: one
        whose task can't even be launched is never started, so that its count of
        starts would bound nothing. `at_most` None bounds nothing: a person asks.

        Raises:
            PrefectUnavailableError: no answer.
        """
        if moved := self._moved(self._state(run_id), state_id):
            return moved
        states = self._ask("GET", f"/flow_run_states/?flow_run_id={run_id}", None)
        retried = sum(state["name"] == _RETRIED for state in states)
        if at_most is not None and retried >= at_most:
            return f"left alone: it was retried {retried} times"
        answer = self._set_state(run_id, {"type": "SCHEDULED", "name": _RETRIED})
        return _refusal(answer) or "retried"

    def end(self, run_id: str, state_id: str, why: str, *, retry_at_most: int | None) -> str:
        """End a run whose task is gone as crashed, or cancelled where it was to be, if it still is in that state.

        Raises:
            PrefectUnavailableError: no answer.
        """
        state = self._state(run_id)
        if moved := self._moved(state, state_id):
            return moved
        kind = "CANCELLED" if state.get("type") == "CANCELLING" else "CRASHED"
        answer = self._set_state(run_id, {"type": kind, "message": f"Found by reconcile: {why}"})
        if refusal := _refusal(answer):
            return refusal
        if kind == "CANCELLED" or retry_at_most == 0:
            return "ended"
        return f"ended, {self.retry(run_id, answer['state']['id'], at_most=retry_at_most)}"

    def cluster_of(self, work_pool: str) -> str | None:
        """The ECS cluster that a work pool's runs go to; None where the pool is not of ECS.

        Raises:
            PrefectUnavailableError: no answer, or no such pool.
        """
        pool = self._ask("GET", f"/work_pools/{quote(work_pool, safe='')}", None)
        if pool.get("type") != "ecs":
            return None
        variables = pool["base_job_template"].get("variables", {}).get("properties", {})
        # The cluster that ECS takes where none is named.
        return variables.get("cluster", {}).get("default") or "default"

    def _state(self, run_id: str) -> dict[str, Any]:
        return self._ask("GET", f"/flow_runs/{run_id}", None).get("state") or {}

    @staticmethod
    def _moved(state: dict[str, Any], state_id: str) -> str:
        """That the run has gone on since it was seen, in words; empty where it has not."""
        return (
            "" if state.get("id") == state_id else f"left alone: it is {state.get('name')} by now"
        )

    def _set_state(self, run_id: str, state: dict[str, Any]) -> dict[str, Any]:
        wanted = {"state": state, "force": False}
        answer: dict[str, Any] = self._ask("POST", f"/flow_runs/{run_id}/set_state", wanted)
        return answer

    def _pages(self, wanted: dict[str, Any], flow: str) -> Iterator[dict[str, Any]]:
        seen = 0
        while page := self._page(wanted, seen, flow):
            yield from page
            seen += len(page)
            if len(page) < PAGE:
                return

    def _page(self, wanted: dict[str, Any], offset: int, flow: str) -> list[dict[str, Any]]:
        body = {
            "flow_runs": wanted,
            "flows": {"name": {"any_": [flow]}},
            "limit": PAGE,
            "offset": offset,
            "sort": "EXPECTED_START_TIME_ASC",
        }
        answer: list[dict[str, Any]] = self._ask("POST", "/flow_runs/filter", body)
        return answer

    def _ask(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - any JSON
        sent = None if body is None else json.dumps(body).encode()
        try:
            answer = self._http.request(method, self._url + path, body=sent, headers=self._headers)
        except HTTPError as error:
            raise PrefectUnavailableError(f"prefect {self._url}: {error}") from error
        if answer.status >= 400:
            told = " ".join(answer.data[:300].decode(errors="replace").split())
            raise PrefectUnavailableError(f"prefect {method} {path}: HTTP {answer.status}: {told}")
        return json.loads(answer.data)


def _refusal(answer: dict[str, Any]) -> str:
    if answer.get("status") == "ACCEPT":
        return ""
    reason = (answer.get("details") or {}).get("reason") or answer.get("status")
    return f"Prefect refused: {reason}"


def run_facts(run: dict[str, Any]) -> RunFacts:
    """A flow run of the API as facts."""
    state = run["state"]
    return RunFacts(
        id=run["id"],
        state_id=state["id"],
        state_type=state["type"],
        state_name=state["name"],
        message=state.get("message") or "",
        starts=run.get("run_count") or 0,
        since=datetime.fromisoformat(state["timestamp"]),
        raw_file=str((run.get("parameters") or {}).get("raw_file") or ""),
        work_pool=run.get("work_pool_name") or "",
        version=run.get("deployment_version") or "",
        parameters=run.get("parameters") or {},
    )


def file_facts(
    batch: dict[str, Any], entry: dict[str, Any], state: dict[str, Any] | None
) -> RunFacts:
    """A batch as it stands with one of its files; `state` is the file's task run's, if it has one.

    What has not ended there shares the batch's fate: a file is queued, running
    or crashed with it. `entry` is what the batch was asked for of the file.
    """
    facts = replace(
        run_facts(batch),
        in_batch=True,
        raw_file=str(entry.get("raw_file") or ""),
        parameters={name: value for name, value in entry.items() if name != "identity"},
    )
    if state is None or state["type"] not in {"COMPLETED", "FAILED", "CRASHED"}:
        return facts
    return replace(
        facts,
        state_id=state["id"],
        state_type=state["type"],
        state_name=state["name"],
        message=state.get("message") or "",
        since=datetime.fromisoformat(state["timestamp"]),
    )

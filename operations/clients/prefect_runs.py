"""Reads, retries and ends flow runs through Prefect's API."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from flows.core.run_ends import FAILED, OUTCOME_TAG
from lambda_trigger.decisions.wording import counted
from operations.clients.batch_files import BATCH, entries_of, files_of, in_batches, run_facts
from operations.clients.prefect_api import PAGE, RateLimitedPrefectApi, run_page
from operations.findings.findings import ChangeResult, RunFacts

FLOW = "convert-raw-sonar"
# The flow of `echodrop draw s3://…`.
DRAWING_FLOW = "make-products"
# Seconds after which a request is not repeated.
_PATIENCE = 5.0
WITH_TASKS = ("PENDING", "RUNNING", "CANCELLING")
UNFINISHED = ("SCHEDULED", "PAUSED", *WITH_TASKS)
FAILED_OR_CRASHED = ("FAILED", "CRASHED")
_RETRIED = "AwaitingRetry"


class PrefectRuns:
    """The conversions in Prefect; at most `per_minute` requests, see `requests_a_minute`.

    Each method raises PrefectUnreachableError if Prefect does not answer.
    """

    def __init__(
        self, url: str, authorization: str | None = None, *, per_minute: float | None = None
    ) -> None:
        self._api = RateLimitedPrefectApi(url, authorization, per_minute=per_minute)

    def by_identity(self, identities: Collection[str]) -> dict[str, RunFacts]:
        """The runs of these idempotency keys, by key: the file's own run, else its batch."""
        found: dict[str, RunFacts] = {}
        wanted = list(identities)
        for start in range(0, len(wanted), PAGE):
            page = wanted[start : start + PAGE]
            for run in self._api.runs({"idempotency_key": {"any_": page}}, FLOW):
                found[run["idempotency_key"]] = run_facts(run)
            found |= in_batches(self._api, [each for each in page if each not in found])
        return found

    def in_states(
        self,
        states: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        names: Sequence[str] = (),
    ) -> Iterator[RunFacts]:
        """Yield all conversions in these state types, earliest expected first: runs of one file, then batches.

        A batch yields facts for each of its files. The state types apply to the batch and to the
        file, the times to the batch. `states` are types such as RUNNING, empty for any; `names`
        are outcomes such as BadFile, or names of states. Only runs that ended from `since` to
        `until` are found.
        """
        state = {"type": list(states), "name": list(names)}
        wanted: dict[str, Any] = {
            "state": {what: {"any_": of} for what, of in state.items() if of},
        }
        ended = {"after_": since, "before_": until}
        if since or until:
            wanted["end_time"] = {side: at.isoformat() for side, at in ended.items() if at}
        for filters in (wanted, _tagged(wanted, names)) if names else (wanted,):
            for run in self._api.runs(filters, FLOW):
                if run.get("state") and (not names or run_facts(run).state_name in names):
                    yield run_facts(run)
        # The outcome of a file differs from that of its batch.
        wanted["state"] = {what: of for what, of in wanted["state"].items() if what != "name"}
        for run in self._api.runs(wanted, BATCH):
            for _, facts in files_of(self._api, run) if run.get("state") else ():
                if (not states or facts.state_type in states) and (
                    not names or facts.state_name in names
                ):
                    yield facts

    def with_tasks(self) -> Iterator[RunFacts]:
        """Yield each run that waits for the end of a task, once.

        A batch has the name of its first file.
        """
        wanted = {"state": {"type": {"any_": list(WITH_TASKS)}}}
        for run in self._api.runs(wanted, FLOW):
            yield run_facts(run)
        for run in self._api.runs(wanted, BATCH):
            first = next(iter(entries_of(run)), {})
            yield replace(run_facts(run), in_batch=True, raw_file=str(first.get("raw_file") or ""))

    def ask_now(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - any JSON
        """Ask Prefect's API for the sake of somebody who waits for the answer."""
        return self._api.ask(method, path, body, patience=_PATIENCE)

    def states(self, run_id: str) -> list[tuple[datetime, str, str]]:
        """Time, name and message of each state that a run has had, in order."""
        found = self._api.ask("GET", f"/flow_run_states/?flow_run_id={run_id}", None)
        return sorted(
            (datetime.fromisoformat(each["timestamp"]), each["name"], each.get("message") or "")
            for each in found
        )

    def page(self, run_id: str) -> str:
        """The page of a run in Prefect's UI."""
        return run_page(self._api.url, run_id)

    def unfinished_in(self, work_queue: str) -> int:
        """Count the runs of a work queue that wait for a task, or have one."""
        wanted = {
            "work_queue_name": {"any_": [work_queue]},
            "state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}},
        }
        count: int = self._api.ask("POST", "/flow_runs/count", {"flow_runs": wanted})
        return count

    def at_once_in(self, work_queue: str) -> int | None:
        """The concurrency limit of a work queue; None for no limit."""
        wanted = {"work_queues": {"name": {"any_": [work_queue]}}}
        queues = self._api.ask("POST", "/work_queues/filter", wanted)
        limits = [queue["concurrency_limit"] for queue in queues]
        return None if not limits or None in limits else sum(limits)

    def retries(self, run_id: str) -> int:
        """How often a run was retried, by its history. Its run count does not include tasks that never started."""
        return sum(name == _RETRIED for _, name, _ in self.states(run_id))

    def retry(self, run_id: str, state_id: str, *, at_most: int | None) -> ChangeResult:
        """Retry a run that is still in this state, as Retry in the UI does, unless it was retried `at_most` times."""
        if moved := self._moved(run_id, state_id)[1]:
            return moved
        retried = self.retries(run_id)
        if at_most is not None and retried >= at_most:
            why = f"it was already retried {counted(retried, 'time')}"
            return ChangeResult("left alone", why=why)
        answer = self._set_state(run_id, {"type": "SCHEDULED", "name": _RETRIED})
        return _refusal(answer) or ChangeResult("retried", done=True)

    def end(
        self, run_id: str, state_id: str, why: str, *, retry_at_most: int | None
    ) -> ChangeResult:
        """End a run that is still in this state and whose task is gone, then retry it as `retry` does.

        It ends as crashed or, if it was being cancelled, as cancelled.
        """
        state_type, moved = self._moved(run_id, state_id)
        if moved:
            return moved
        kind = "CANCELLED" if state_type == "CANCELLING" else "CRASHED"
        answer = self._set_state(run_id, {"type": kind, "message": f"Found by reconcile: {why}"})
        if refusal := _refusal(answer):
            return refusal
        if kind == "CANCELLED" or retry_at_most == 0:
            return ChangeResult("ended", done=True)
        retried = self.retry(run_id, answer["state"]["id"], at_most=retry_at_most)
        return ChangeResult(f"ended, {retried.name}", done=True, why=retried.why)

    def _moved(self, run_id: str, state_id: str) -> tuple[str, ChangeResult | None]:
        """The type of the run's state, and why it is left alone if its state has changed since."""
        state = self._api.ask("GET", f"/flow_runs/{run_id}", None).get("state") or {}
        changed = ChangeResult("left alone", why=f"it is now {state.get('name')}")
        return state.get("type", ""), None if state.get("id") == state_id else changed

    def _set_state(self, run_id: str, state: dict[str, Any]) -> dict[str, Any]:
        wanted = {"state": state, "force": False}
        answer: dict[str, Any] = self._api.ask("POST", f"/flow_runs/{run_id}/set_state", wanted)
        return answer

    def cluster_of(self, work_pool: str) -> str | None:
        """The ECS cluster of a work pool; None if it is not an ECS pool.

        Raises:
            PrefectUnreachableError: Prefect does not answer, or there is no such pool.
        """
        pool = self._api.ask("GET", f"/work_pools/{quote(work_pool, safe='')}", None)
        if pool.get("type") != "ecs":
            return None
        variables = pool["base_job_template"].get("variables", {}).get("properties", {})
        # ECS uses this cluster if none is named.
        return variables.get("cluster", {}).get("default") or "default"


def _tagged(wanted: Mapping[str, Any], outcomes: Sequence[str]) -> dict[str, Any]:
    """The filter for failed runs with these outcomes; runs of earlier releases have them as names."""
    state = {**wanted["state"], "name": {"any_": [FAILED]}}
    return {**wanted, "state": state, "tags": {"any_": [OUTCOME_TAG + name for name in outcomes]}}


def _refusal(answer: dict[str, Any]) -> ChangeResult | None:
    if answer.get("status") == "ACCEPT":
        return None
    reason = (answer.get("details") or {}).get("reason") or answer.get("status")
    return ChangeResult("Prefect refused", why=str(reason))

"""Retries and ends runs, if they are still in the state in which they were seen."""

from __future__ import annotations

from typing import Any

from lambda_trigger.decisions.wording import counted
from operations.clients.prefect_api import RateLimitedPrefectApi
from operations.findings.findings import ChangeResult

_RETRIED = "AwaitingRetry"


def retries(api: RateLimitedPrefectApi, run_id: str) -> int:
    """How often a run was retried, by its history. Its run count does not include tasks that never started.

    Raises:
        PrefectUnavailableError: Prefect does not answer.
    """
    states = api.ask("GET", f"/flow_run_states/?flow_run_id={run_id}", None)
    return sum(state["name"] == _RETRIED for state in states)


def retry(
    api: RateLimitedPrefectApi, run_id: str, state_id: str, *, at_most: int | None
) -> ChangeResult:
    """Retry a run, as Retry in the UI does.

    If `at_most` is None, the number of retries is not limited.

    Raises:
        PrefectUnavailableError: Prefect does not answer.
    """
    if moved := _why_state_changed(_state(api, run_id), state_id):
        return moved
    retried = retries(api, run_id)
    if at_most is not None and retried >= at_most:
        return _left_alone(f"it was already retried {counted(retried, 'time')}")
    answer = _set_state(api, run_id, {"type": "SCHEDULED", "name": _RETRIED})
    return _refusal(answer) or ChangeResult("retried", done=True)


def end(
    api: RateLimitedPrefectApi, run_id: str, state_id: str, why: str, *, retry_at_most: int | None
) -> ChangeResult:
    """End a run whose task is gone, as crashed or, if it was being cancelled, as cancelled; then retry it.

    Raises:
        PrefectUnavailableError: Prefect does not answer.
    """
    state = _state(api, run_id)
    if moved := _why_state_changed(state, state_id):
        return moved
    kind = "CANCELLED" if state.get("type") == "CANCELLING" else "CRASHED"
    answer = _set_state(api, run_id, {"type": kind, "message": f"Found by reconcile: {why}"})
    if refusal := _refusal(answer):
        return refusal
    if kind == "CANCELLED" or retry_at_most == 0:
        return ChangeResult("ended", done=True)
    retried = retry(api, run_id, answer["state"]["id"], at_most=retry_at_most)
    return ChangeResult(f"ended, {retried.name}", done=True, why=retried.why)


def _state(api: RateLimitedPrefectApi, run_id: str) -> dict[str, Any]:
    return api.ask("GET", f"/flow_runs/{run_id}", None).get("state") or {}


def _why_state_changed(state: dict[str, Any], state_id: str) -> ChangeResult | None:
    """Why the run is left alone, if its state has changed since it was seen."""
    return None if state.get("id") == state_id else _left_alone(f"it is now {state.get('name')}")


def _left_alone(why: str) -> ChangeResult:
    return ChangeResult("left alone", why=why)


def _set_state(api: RateLimitedPrefectApi, run_id: str, state: dict[str, Any]) -> dict[str, Any]:
    wanted = {"state": state, "force": False}
    answer: dict[str, Any] = api.ask("POST", f"/flow_runs/{run_id}/set_state", wanted)
    return answer


def _refusal(answer: dict[str, Any]) -> ChangeResult | None:
    if answer.get("status") == "ACCEPT":
        return None
    reason = (answer.get("details") or {}).get("reason") or answer.get("status")
    return ChangeResult("Prefect refused", why=str(reason))

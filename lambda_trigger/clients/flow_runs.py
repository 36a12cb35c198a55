"""The Prefect API: it creates one flow run for an upload, even if it is requested again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.prefect_connection import PrefectConnection
from lambda_trigger.decisions.run_identity import RunRequest, batch_tag

_OUTCOME_TAG = "outcome:"


@dataclass(frozen=True, slots=True)
class FlowRun:
    """Prefect's answer. `created` is False if the identity already had a run.

    `state` is the outcome of a run that failed with one (`outcome_of`), else the state's name.
    """

    id: str
    name: str
    state: str
    created: bool


@dataclass(frozen=True, slots=True)
class RunState:
    """A flow run as Prefect stores it.

    `task` names its last task as `<cluster>::<task ARN>`; it is empty before the first.
    """

    name: str
    state_type: str
    state_name: str
    message: str
    task: str
    tags: list[str]
    parameters: dict[str, Any]
    job_variables: dict[str, Any]


def outcome_of(run: Mapping[str, Any]) -> str:
    """How a run ended: its tag `outcome:…` if its state is Failed, else the state's name.

    The flow sets the tag (docs/decisions/failed-by-tag.md); runs of earlier releases have it as name.
    """
    name = str((run.get("state") or {}).get("name", ""))
    tags = (str(tag) for tag in run.get("tags") or ())
    named = (tag.removeprefix(_OUTCOME_TAG) for tag in tags if tag.startswith(_OUTCOME_TAG))
    return next(named, name) if name == "Failed" else name


class PrefectApi:
    """A client for the few API calls that the trigger needs.

    Each raises TransportError if Prefect does not answer.
    """

    def __init__(self, connection: PrefectConnection) -> None:
        self._connection = connection
        self._deployment_ids: dict[str, str] = {}

    def create_run(self, wanted: RunRequest, deadline: Deadline) -> FlowRun:
        """Create a flow run; if its identity has one already, return that.

        Raises:
            TransportError: Prefect created no run. The upload is not the cause.
        """
        known = wanted.deployment in self._deployment_ids
        status, run = self._post_run(wanted, deadline, other={404} if known else ())
        if status == 404:
            # The deployment was recreated under the same name: look it up again.
            del self._deployment_ids[wanted.deployment]
            status, run = self._post_run(wanted, deadline)
        return FlowRun(str(run["id"]), str(run["name"]), outcome_of(run), status == 201)

    def existing(self, identities: Sequence[str], deadline: Deadline) -> set[str]:
        """Find which of these identities have a run, or a place in a batch."""
        wanted = {
            "operator": "or_",
            "idempotency_key": {"any_": list(identities)},
            "tags": {"any_": [batch_tag(each) for each in identities]},
        }
        body = {"flow_runs": wanted, "limit": 2 * len(identities)}
        ask = self._connection.ask
        _, runs = ask("flow runs", "POST", "/flow_runs/filter", deadline, body, has="")
        found: set[str] = set()
        for run in runs:
            found |= {str(run.get("idempotency_key")), *(run.get("tags") or ())}
        return {each for each in identities if not found.isdisjoint({each, batch_tag(each)})}

    def run_state(self, run_id: str, deadline: Deadline) -> RunState | None:
        """Read a flow run; None if no run has this id."""
        path = f"/flow_runs/{quote(run_id)}"
        status, run = self._connection.ask("flow run", "GET", path, deadline, other={404, 422})
        if status in {404, 422}:
            return None
        state = run.get("state") or {}
        return RunState(
            name=str(run.get("name", "")),
            state_type=str(state.get("type", "")),
            state_name=str(state.get("name", "")),
            message=str(state.get("message") or ""),
            task=str(run.get("infrastructure_pid") or ""),
            tags=list(run.get("tags") or []),
            parameters=run.get("parameters") or {},
            job_variables=run.get("job_variables") or {},
        )

    def set_state(
        self, run_id: str, state: dict[str, Any], deadline: Deadline, *, force: bool = False
    ) -> bool:
        """Propose a state; return whether Prefect accepted it."""
        path, body = f"/flow_runs/{quote(run_id)}/set_state", {"state": state, "force": force}
        ask = self._connection.ask
        _, answer = ask("set_state", "POST", path, deadline, body, has="status")
        return bool(answer["status"] == "ACCEPT")

    def change_run(self, run_id: str, changes: dict[str, Any], deadline: Deadline) -> bool:
        """Change tags and job variables; return False if the run is no longer scheduled.

        Prefect changes both or neither.
        """
        path, ask = f"/flow_runs/{quote(run_id)}", self._connection.ask
        # Job variables apply to the next task, so Prefect accepts them only for a scheduled run.
        refused = {400}
        status, _ = ask(
            "change flow run", "PATCH", path, deadline, changes, has=None, other=refused
        )
        return status not in refused

    def _post_run(
        self, wanted: RunRequest, deadline: Deadline, other: Collection[int] = ()
    ) -> tuple[int, Any]:
        body: dict[str, Any] = {
            "name": wanted.name,
            "tags": wanted.tags,
            "idempotency_key": wanted.idempotency_key,
            "parameters": wanted.parameters,
            "job_variables": wanted.job_variables,
            "work_queue_name": wanted.lane,
        }
        if wanted.paused:
            # pause_reschedule: on resume the run is scheduled, so a worker fetches it.
            # Without it Prefect sets the run to Running although no task exists.
            body["state"] = {
                "type": "PAUSED",
                "name": "Paused",
                "message": wanted.paused,
                "state_details": {"pause_reschedule": True},
            }
        path = f"/deployments/{self._deployment_id(wanted.deployment, deadline)}/create_flow_run"
        ask = self._connection.ask
        return ask("create_flow_run", "POST", path, deadline, body, other=other)

    def _deployment_id(self, deployment: str, deadline: Deadline) -> str:
        if deployment not in self._deployment_ids:
            path = f"/deployments/name/{quote(deployment)}"
            _, found = self._connection.ask(f"deployment {deployment}", "GET", path, deadline)
            self._deployment_ids[deployment] = str(found["id"])
        return self._deployment_ids[deployment]

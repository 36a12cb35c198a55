"""A client of the Prefect API for flow runs, their states and logs."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from flows.core.run_ends import outcome_of

# Seconds. On a busy machine a request may wait long for SQLite.
_TIMEOUT = 60
# 503 means that the SQLite database was locked and nothing was changed.
_BUSY = urllib3.Retry(
    connect=False,
    read=False,
    status=5,
    status_forcelist=[HTTPStatus.SERVICE_UNAVAILABLE],
    allowed_methods=None,
    backoff_factor=0.2,
    raise_on_status=False,
)

FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class FlowRunInfo:
    """A flow run as the API returns it.

    Attributes:
        state_type: PENDING, RUNNING, COMPLETED, FAILED, CRASHED, ...
        state_name: the outcome of a failed run, such as BadFile; else the state's name, such as
            Completed, Skipped or Late.
        run_count: how many times it was started.
        seconds: its total run time.
    """

    id: str
    name: str
    state_type: str
    state_name: str
    message: str
    parameters: dict[str, Any]
    run_count: int
    seconds: float

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.state_type in FINAL_STATES


class SandboxPrefectApi:
    """A client of a Prefect API on loopback that does not import Prefect."""

    def __init__(self, url: str, credential: str | None = None) -> None:
        """Connect to the API at `url`; `credential` is `user:password` for basic authentication."""
        self.url = url
        # A new connection each time: the server may have been killed meanwhile.
        headers = {**urllib3.make_headers(basic_auth=credential), "connection": "close"}
        self._http = urllib3.PoolManager(headers=headers, timeout=_TIMEOUT, retries=_BUSY)

    def request(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Send a request and return the decoded response (None if it is empty).

        Raises:
            OSError: no connection, or a response of 400 and above.
        """
        try:
            answer = self._http.request(method, f"{self.url}{path}", json=body)
        except HTTPError as problem:
            raise OSError(f"{method} {path}: {problem}") from problem
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise OSError(f"{method} {path}: {answer.status} {answer.data[:500]!r}")
        return answer.json() if answer.data else None

    def flow_runs(self, name: str = "") -> list[FlowRunInfo]:
        """Return the flow runs with this text in their names, oldest first."""
        runs: list[FlowRunInfo] = []
        page = 200
        while True:
            answer = self.request(
                "POST",
                "/flow_runs/filter",
                {
                    "flow_runs": {"name": {"like_": name}},
                    "sort": "START_TIME_ASC",
                    "limit": page,
                    "offset": len(runs),
                },
            )
            runs.extend(_flow_run(found) for found in answer)
            if len(answer) < page:
                return runs

    def flow_run(self, run_id: str) -> FlowRunInfo:
        """Return one flow run."""
        return _flow_run(self.request("GET", f"/flow_runs/{run_id}"))

    def logs(self, run_id: str) -> list[str]:
        """Return a flow run's log messages in order, at most 200."""
        answer = self.request(
            "POST",
            "/logs/filter",
            {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200},
        )
        return [line["message"] for line in answer]

    def worker_is_online(self, pool: str) -> bool:
        """Return whether the work pool has an online worker."""
        try:
            workers = self.request("POST", f"/work_pools/{pool}/workers/filter", {})
        except OSError:
            return False
        return any(worker["status"] == "ONLINE" for worker in workers)


def _flow_run(found: dict[str, Any]) -> FlowRunInfo:
    state = found.get("state") or {}
    outcome = outcome_of(state.get("name") or "", found.get("tags") or ())
    return FlowRunInfo(
        id=found["id"],
        name=found["name"],
        state_type=state.get("type") or "",
        state_name=outcome,
        message=(state.get("message") or "").removeprefix(f"{outcome}: "),
        parameters=found.get("parameters") or {},
        run_count=found.get("run_count") or 0,
        seconds=found.get("estimated_run_time") or 0.0,
    )

"""What the sandbox asks of the Prefect API: runs, their states and their logs."""

import base64
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

# Seconds. On a busy machine SQLite keeps a request waiting for long.
_TIMEOUT = 60

FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class FlowRun:
    """A flow run as the API tells it.

    Attributes:
        id: its id.
        name: its name, for people.
        state_type: PENDING, RUNNING, COMPLETED, FAILED, CRASHED, ...
        state_name: the state's name, such as Completed, Skipped or Late.
        message: the state's message.
        parameters: what the flow is called with.
        run_count: how many times it was started.
        seconds: how long it has run in all.
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
        """Whether it will not change by itself any more."""
        return self.state_type in FINAL_STATES


class PrefectApi:
    """A Prefect API on loopback, read without importing Prefect."""

    def __init__(self, url: str, credential: str | None = None) -> None:
        """Know the API at a URL, by a `user:password` where it asks for one."""
        self.url = url
        self._headers = {"Content-Type": "application/json"}
        if credential is not None:
            encoded = base64.b64encode(credential.encode()).decode()
            self._headers["Authorization"] = f"Basic {encoded}"

    def request(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Send one request and return the decoded answer (None when it is empty).

        An answer of 503 is asked again: that is how the server says that its
        SQLite database was locked, and nothing was done then.

        Raises:
            OSError: no connection, or an answer of 400 and above
                (`urllib.error.HTTPError`).
        """
        for pause in (0.2, 0.4, 0.8, 1.6, 3.2):
            try:
                return self._send(method, path, body)
            except urllib.error.HTTPError as problem:
                if problem.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(pause)
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(  # noqa: S310 - a loopback http URL
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - see above
            content = response.read()
        return json.loads(content) if content else None

    def flow_runs(self) -> list[FlowRun]:
        """Return all flow runs, the oldest first."""
        runs: list[FlowRun] = []
        page = 200
        while True:
            answer = self.request(
                "POST",
                "/flow_runs/filter",
                {"sort": "START_TIME_ASC", "limit": page, "offset": len(runs)},
            )
            runs.extend(_flow_run(found) for found in answer)
            if len(answer) < page:
                return runs

    def flow_run(self, run_id: str) -> FlowRun:
        """Return one flow run."""
        return _flow_run(self.request("GET", f"/flow_runs/{run_id}"))

    def logs(self, run_id: str) -> list[str]:
        """Return the messages a flow run has logged (200 at most), in order."""
        answer = self.request(
            "POST",
            "/logs/filter",
            {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200},
        )
        return [line["message"] for line in answer]

    def run_again(self, run_id: str) -> None:
        """Schedule a flow run that has ended once more, as the UI's Retry does."""
        self.request(
            "POST",
            f"/flow_runs/{run_id}/set_state",
            {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True},
        )

    def worker_is_online(self, pool: str) -> bool:
        """Say whether a worker has reported to this work pool by now."""
        try:
            workers = self.request("POST", f"/work_pools/{pool}/workers/filter", {})
        except OSError:
            return False
        return any(worker["status"] == "ONLINE" for worker in workers)


def _flow_run(found: dict[str, Any]) -> FlowRun:
    state = found.get("state") or {}
    return FlowRun(
        id=found["id"],
        name=found["name"],
        state_type=state.get("type") or "",
        state_name=state.get("name") or "",
        message=state.get("message") or "",
        parameters=found.get("parameters") or {},
        run_count=found.get("run_count") or 0,
        seconds=found.get("estimated_run_time") or 0.0,
    )

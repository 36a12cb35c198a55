"""Reads metrics of runs and workers from Prefect's API, without importing Prefect."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from watchdog.prefect_http import PrefectHttp, PrefectUnreachableError

CONVERSIONS = ("convert-raw-sonar", "convert-raw-sonar-batch")
FLOWS = (*CONVERSIONS, "reconcile-inbox")
# Names of Failed states whose cause is the file, not the system.
FILE_OUTCOMES = (
    "BadFile",
    "WrongModel",
    "MissingSidecar",
    "BadSidecar",
    "UnsupportedDatagram",
    "OutputConflict",
    "SourceChanged",
    "Archived",
)
# A batch with failed files; the end of its state message counts them by outcome.
BATCH_OUTCOMES = ("PartlyFailed", "AllFailed")
_COUNTED = re.compile(r"(\d+) ([^,]+)")
_SUCCESS_STATES = ("Completed", "Skipped")
# Lanes in which runs should not wait.
LIVE_QUEUES = ("live", "default")

PENDING_LIMIT = timedelta(minutes=15)
RUNNING_LIMIT = timedelta(hours=6)
# The heartbeat age of a pool that never had a worker.
NO_WORKER_SECONDS = 86400.0

# The server's own limit on a page.
_PAGE = 200
_UNFINISHED = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
# Seconds for all requests of a check, including a minute of 429. The function's timeout in
# template.yaml is longer, so that the other checks still run.
PATIENCE = 75.0
_NOT_FOUND = 404


def authorization_of(secret: str) -> str | None:
    """The Authorization header for a secret's JSON: `api_key`, or `auth_string` as user:password."""
    fields = json.loads(secret)
    if key := fields.get("api_key"):
        return f"Bearer {key}"
    if text := fields.get("auth_string"):
        return "Basic " + base64.b64encode(text.encode()).decode()
    return None


@dataclass(frozen=True)
class PrefectLook:
    """One check of Prefect's API at `url`, at the time `now`."""

    url: str
    authorization: str | None
    work_pool: str
    now: datetime
    look_back: timedelta

    def metrics(self) -> dict[str, float]:
        """Read all metrics that Prefect supplies.

        Raises:
            PrefectUnreachableError: Prefect does not answer as expected.
        """
        just_ended = {"end_time": {"after_": (self.now - self.look_back).isoformat()}}
        failed = {**just_ended, "state": {"type": {"any_": ["FAILED"]}}}
        in_batches = self._failed_files(failed)
        # In one request: a bad file's run that ends between two requests would look like a failure.
        others = self._count(_named(failed, (*FILE_OUTCOMES, *BATCH_OUTCOMES), exclude=True))
        bad_files = self._count(_named(failed, FILE_OUTCOMES))
        bad_in_batches = sum(in_batches[name] for name in FILE_OUTCOMES)
        live = {"work_queue_name": {"any_": list(LIVE_QUEUES)}}
        due = {"expected_start_time": {"before_": self.now.isoformat()}}
        waiting = self._page(
            {**live, **due, "state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}, 1
        )
        return {
            "FailedRuns": others + in_batches.total() - bad_in_batches,
            "BadFiles": bad_files + bad_in_batches,
            "CrashedRuns": self._count({**just_ended, "state": {"type": {"any_": ["CRASHED"]}}}),
            "LateRuns": self._count({**live, "state": {"name": {"any_": ["Late"]}}}),
            "StuckPendingRuns": self._longer_than(PENDING_LIMIT, "PENDING"),
            "StuckRunningRuns": self._longer_than(RUNNING_LIMIT, "RUNNING"),
            "OldestWaitingSeconds": max(
                (self._age(run["expected_start_time"]) for run in waiting), default=0.0
            ),
            "UnendedRuns": self._count(
                {"state": {"type": {"any_": list(_UNFINISHED)}}}, CONVERSIONS
            ),
            "WorkerHeartbeatAgeSeconds": self._heartbeat_age(),
        }

    def _failed_files(self, failed: Mapping[str, Any]) -> Counter[str]:
        """Count the failed files of the latest batches, one page of them, by outcome."""
        batches = self._page(_named(failed, BATCH_OUTCOMES), _PAGE)
        return sum((failed_files(run["state"]["message"] or "") for run in batches), Counter())

    def _longer_than(self, limit: timedelta, state: str) -> int:
        runs = self._page({"state": {"type": {"any_": [state]}}}, _PAGE)
        return sum(self._age(run["state"]["timestamp"]) > limit.total_seconds() for run in runs)

    def _heartbeat_age(self) -> float:
        try:
            workers = self._ask(f"/work_pools/{self.work_pool}/workers/filter", {})
        except PrefectUnreachableError as error:
            if error.status != _NOT_FOUND:
                raise
            return NO_WORKER_SECONDS  # the stack is not registered yet
        ages = [self._age(worker["last_heartbeat_time"]) for worker in workers]
        return min(ages, default=NO_WORKER_SECONDS)

    def _age(self, time: str) -> float:
        moment = datetime.fromisoformat(time)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (self.now - moment).total_seconds())

    def _count(self, runs: Mapping[str, Any], flows: Sequence[str] = FLOWS) -> int:
        return int(self._ask("/flow_runs/count", _of_flows(flows, runs)))

    def _page(self, runs: Mapping[str, Any], limit: int) -> Sequence[Mapping[str, Any]]:
        wanted = _of_flows(FLOWS, runs) | {"limit": limit, "sort": "EXPECTED_START_TIME_ASC"}
        page: list[dict[str, Any]] = self._ask("/flow_runs/filter", wanted)
        return page

    @cached_property
    def _http(self) -> PrefectHttp:
        return PrefectHttp(self.url, self.authorization, timeout=5)

    @cached_property
    def _deadline(self) -> float:
        return time.monotonic() + PATIENCE

    def _ask(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        return self._http.ask("POST", path, body, patience=self._deadline - time.monotonic())


def failed_files(message: str) -> Counter[str]:
    """Count the failed files of a batch by outcome, from the message of its Failed state.

    A message without counts is one failure without a name.
    """
    _, _, counted = message.rpartition("In all: ")
    of_outcome: Counter[str] = Counter()
    for number, outcome in _COUNTED.findall(counted):
        of_outcome[outcome] += int(number)
    for name in _SUCCESS_STATES:
        del of_outcome[name]
    return of_outcome or Counter([""])


def _named(
    runs: Mapping[str, Any], names: Sequence[str], *, exclude: bool = False
) -> dict[str, Any]:
    these = "not_any_" if exclude else "any_"
    return {**runs, "state": {**runs["state"], "name": {these: list(names)}}}


def _of_flows(flows: Sequence[str], runs: Mapping[str, Any]) -> dict[str, Any]:
    return {"flow_runs": dict(runs), "flows": {"name": {"any_": list(flows)}}}

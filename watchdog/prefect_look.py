"""Reads metrics of runs and workers from Prefect's API, without importing Prefect."""

from __future__ import annotations

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
# Outcomes whose cause is the file, not the system.
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
# The tags of a failed run: its outcome, and for a batch how many of its files failed with which.
OUTCOME_TAG, FILES_TAG = "outcome:", "files:"
_FAILED = "Failed"
# Lanes in which runs should not wait.
LIVE_QUEUES = ("live", "default")

PENDING_LIMIT = timedelta(minutes=15)
RUNNING_LIMIT = timedelta(hours=6)
# The heartbeat age of a pool that never had a worker.
NO_WORKER_SECONDS = 86400.0

# The server's own limit on a page; pages of failed runs.
_PAGE, _PAGES = 200, 25
_UNFINISHED = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
# Seconds for all requests of a check, including a minute of 429. The function's timeout in
# template.yaml is longer, so that the other checks still run.
PATIENCE = 75.0
_NOT_FOUND = 404


@dataclass(frozen=True)
class PrefectLook:
    """One check of Prefect's API, at the time `now`."""

    http: PrefectHttp
    work_pool: str
    now: datetime
    look_back: timedelta

    def metrics(self) -> dict[str, float]:
        """Read all metrics that Prefect supplies."""
        just_ended = {"end_time": {"after_": (self.now - self.look_back).isoformat()}}
        failures = self._failures({**just_ended, "state": {"type": {"any_": ["FAILED"]}}})
        bad_files = sum(failures[name] for name in FILE_OUTCOMES)
        live = {"work_queue_name": {"any_": list(LIVE_QUEUES)}}
        due = {"expected_start_time": {"before_": self.now.isoformat()}}
        waiting = self._page(
            {**live, **due, "state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}, 1
        )
        return {
            "FailedRuns": failures.total() - bad_files,
            "BadFiles": bad_files,
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

    def _failures(self, failed: Mapping[str, Any]) -> Counter[str]:
        """Count the failed files by outcome; each run is read once, with its outcome."""
        counts: Counter[str] = Counter()
        for page in range(_PAGES):
            runs = self._page(failed, _PAGE, page * _PAGE)
            for run in runs:
                counts += failed_files(run)
            if len(runs) < _PAGE:
                break
        return counts

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

    def _page(
        self, runs: Mapping[str, Any], limit: int, offset: int = 0
    ) -> Sequence[Mapping[str, Any]]:
        wanted = _of_flows(FLOWS, runs) | {
            "limit": limit,
            "offset": offset,
            "sort": "EXPECTED_START_TIME_ASC",
        }
        page: list[dict[str, Any]] = self._ask("/flow_runs/filter", wanted)
        return page

    @cached_property
    def _deadline(self) -> float:
        return time.monotonic() + PATIENCE

    def _ask(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        return self.http.ask("POST", path, body, patience=self._deadline - time.monotonic())


def failed_files(run: Mapping[str, Any]) -> Counter[str]:
    """Count the failed files of a failed run by outcome.

    A run whose outcome is unknown is one failure, with the name of its state: in earlier releases
    this name was the outcome.
    """
    outcome, counts = run["state"]["name"], Counter[str]()
    for tag in run.get("tags") or ():
        if tag.startswith(FILES_TAG):
            name, _, count = tag.removeprefix(FILES_TAG).rpartition(":")
            counts[name] += int(count)
        elif tag.startswith(OUTCOME_TAG) and outcome == _FAILED:
            outcome = tag.removeprefix(OUTCOME_TAG)
    return counts or Counter([outcome])


def _of_flows(flows: Sequence[str], runs: Mapping[str, Any]) -> dict[str, Any]:
    return {"flow_runs": dict(runs), "flows": {"name": {"any_": list(flows)}}}

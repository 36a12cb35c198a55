"""Finds out from ECS which flow runs have a task.

Prefect's state may be wrong: a killed task reports nothing, and the event of its
end can be lost. The worker reads these events from a queue, and may be down; it also
reads the task's tags from ECS, which forgets a stopped task within the hour. ECS
itself lists all tasks, and the worker tags each with the id of its run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from operations.findings.findings import RunFacts

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient

# The limit of DescribeTasks.
_DESCRIBED_AT_ONCE = 100
_RUN_TAG = "prefect.io/flow-run-id"
# A run in any other state has no task, or need not have one.
_STATES_WITH_TASKS = frozenset({"PENDING", "RUNNING", "CANCELLING", "FAILED", "CRASHED"})


@dataclass(frozen=True)
class EcsTasks:
    """The tasks of ECS; `cluster_of` returns the cluster of a work pool, None if it is not an ECS pool."""

    ecs: ECSClient
    cluster_of: Callable[[str], str | None]

    def of(self, runs: Iterable[RunFacts]) -> dict[str, bool]:
        """Whether these runs have a task now, by run id.

        A task that is stopping counts. Runs whose state needs no task, and runs of
        other pools than ECS pools, are left out.
        """
        candidates = [run for run in runs if run.work_pool and run.state_type in _STATES_WITH_TASKS]
        of_pools = {pool: self.cluster_of(pool) for pool in {run.work_pool for run in candidates}}
        # A rule's job variables may name another cluster than the pool's.
        clusters = [
            of_pools[run.work_pool] and (run.cluster or of_pools[run.work_pool])
            for run in candidates
        ]
        with_tasks = {
            cluster: self._runs_in(cluster, needed=cluster in of_pools.values())
            for cluster in {*clusters} - {None}
        }
        found = [
            (run.id, with_tasks.get(cluster))
            for run, cluster in zip(candidates, clusters, strict=True)
        ]
        return {run_id: run_id in there for run_id, there in found if there is not None}

    def _runs_in(self, cluster: str | None, *, needed: bool) -> set[str] | None:
        """The runs that have a task in a cluster; None if it is not `needed` and access is denied."""
        try:
            return self._runs_of_tasks(cluster)
        except ClientError as error:
            if needed or error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            return None

    def _runs_of_tasks(self, cluster: str | None) -> set[str]:
        arns = [
            arn
            for wanted in ("RUNNING", "STOPPED")
            for page in self.ecs.get_paginator("list_tasks").paginate(
                cluster=cluster or "default", desiredStatus=wanted
            )
            for arn in page["taskArns"]
        ]
        found: set[str] = set()
        for start in range(0, len(arns), _DESCRIBED_AT_ONCE):
            answer = self.ecs.describe_tasks(
                cluster=cluster or "default",
                tasks=arns[start : start + _DESCRIBED_AT_ONCE],
                include=["TAGS"],
            )
            running = (task for task in answer["tasks"] if task.get("lastStatus") != "STOPPED")
            tags = (tag for task in running for tag in task.get("tags", []))
            found.update(tag["value"] for tag in tags if tag["key"] == _RUN_TAG)
        return found

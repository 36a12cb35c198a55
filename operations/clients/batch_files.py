"""The state of each file of a batch. docs/decisions/warm-lane.md explains batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from flows.core.run_ends import outcome_of
from lambda_trigger.decisions.outcomes import LANES, LIVE
from lambda_trigger.decisions.run_identity import batch_tag
from operations.clients.prefect_api import RateLimitedPrefectApi
from operations.findings.findings import RunFacts

BATCH = "convert-raw-sonar-batch"
# Digits of a file's identity in the name of its task run (flows.runs.batch.batch_entries).
_IDENTITY_DIGITS = 12
# Tags in a request: SQLite accepts at most a hundred arguments of a function, else the server answers 500.
_TAGS = 100


def in_batches(api: RateLimitedPrefectApi, identities: Collection[str]) -> dict[str, RunFacts]:
    """Find the latest batch of each of these files, as facts about the file."""
    tags = [batch_tag(identity) for identity in identities]
    found = {
        identity: facts
        for start in range(0, len(tags), _TAGS)
        for run in api.runs({"tags": {"any_": tags[start : start + _TAGS]}}, BATCH)
        for identity, facts in files_of(api, run)
    }
    return {identity: found[identity] for identity in identities if identity in found}


def files_of(api: RateLimitedPrefectApi, batch: dict[str, Any]) -> Iterator[tuple[str, RunFacts]]:
    """Yield the identity and the facts of each file of a batch; the identity is empty if missing."""
    # A batch that was retried has later task runs with the same names.
    ends = {task["name"].rpartition(" · ")[2]: task["state"] for task in api.task_runs(batch["id"])}
    for entry in entries_of(batch):
        identity = str(entry.get("identity") or "")
        state = ends.get(identity[:_IDENTITY_DIGITS]) if identity else None
        yield identity, file_facts(batch, entry, state)


def entries_of(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of each file of a batch."""
    entries = (batch.get("parameters") or {}).get("files") or ()
    return [each for each in entries if isinstance(each, dict)]


def run_facts(run: dict[str, Any]) -> RunFacts:
    """The facts of a flow run that the API returned."""
    state = run["state"]
    outcome = outcome_of(state["name"], run.get("tags") or ())
    return RunFacts(
        id=run["id"],
        state_id=state["id"],
        state_type=state["type"],
        state_name=outcome,
        message=(state.get("message") or "").removeprefix(f"{outcome}: "),
        starts=run.get("run_count") or 0,
        since=datetime.fromisoformat(state["timestamp"]),
        raw_file=str((run.get("parameters") or {}).get("raw_file") or ""),
        work_pool=run.get("work_pool_name") or "",
        cluster=str((run.get("job_variables") or {}).get("cluster") or ""),
        lane=lane if (lane := run.get("work_queue_name")) in LANES else LIVE,
        is_repair=not {"repair", "mends"}.isdisjoint(run.get("tags") or ()),  # former name
        version=run.get("deployment_version") or "",
        parameters=run.get("parameters") or {},
    )


def file_facts(
    batch: dict[str, Any], entry: dict[str, Any], state: dict[str, Any] | None
) -> RunFacts:
    """The facts of one file of a batch; `state` is the state of the file's task run, if it has one.

    A file whose task run has not ended has the state of the batch. `entry` holds
    the file's parameters.
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

"""Checks how much is converted and spent, and pauses Prefect's work pool if `cost_brake` decides so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watchdog.cost_brake import (
    HOUR,
    BrakeLimits,
    BrakeNote,
    Observation,
    Pull,
    Spend,
    pull_due,
    quiet_until,
)
from watchdog.prefect_http import PrefectHttp

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

NOTE = "state.json"
# SNS allows 100 ASCII characters in a subject.
_SUBJECT_LENGTH = 99
# Seconds for one request, including a short 429; the other parts also need time.
_PATIENCE = 15.0
_PARAMETERS = {"runs": "BrakeRunsAnHour", "spend": "BrakeBudgetPercent"}


@dataclass(frozen=True)
class NoteStore:
    """Stores the brake's note: an object below `prefix`, which ends in a slash."""

    s3: S3Client
    bucket: str
    prefix: str

    def read(self) -> BrakeNote:
        """Read the note; it is empty if it is missing or can't be read."""
        key = self.prefix + NOTE
        # Listed first: without the right to list the whole bucket, reading a missing object is denied.
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key)
        if not any(item["Key"] == key for item in listed.get("Contents", [])):
            return BrakeNote()
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        try:
            return BrakeNote.of(body.decode())
        except (ValueError, KeyError, TypeError):
            return BrakeNote()

    def write(self, note: BrakeNote) -> None:
        """Store the note."""
        self.s3.put_object(Bucket=self.bucket, Key=self.prefix + NOTE, Body=note.text().encode())


@dataclass(frozen=True)
class WorkPool:
    """A work pool in Prefect."""

    api: PrefectHttp
    name: str

    def is_paused(self) -> bool:
        """Whether the pool is paused.

        Raises:
            PrefectUnreachableError: the pool is not registered, or Prefect does not answer as expected.
        """
        return bool(
            self.api.ask("GET", f"/work_pools/{self.name}", None, patience=_PATIENCE)["is_paused"]
        )

    def pause(self) -> None:
        """Pause the pool: no further run starts, and started runs continue."""
        self.api.ask("PATCH", f"/work_pools/{self.name}", {"is_paused": True}, patience=_PATIENCE)

    def runs_since(self, since: datetime) -> int:
        """Count the runs that started for the first time since then.

        Prefect filters a waiting run by its expected start time, unless the filter excludes
        runs that never started. A run that was cancelled before it started has the time of
        the cancellation as its start time. So cancelled runs are left out, even if some
        had started.
        """
        query = {
            "flow_runs": {
                "start_time": {"after_": since.isoformat(), "is_null_": False},
                "state": {"type": {"not_any_": ["CANCELLED"]}},
            },
            "work_pools": {"name": {"any_": [self.name]}},
        }
        return int(self.api.ask("POST", "/flow_runs/count", query, patience=_PATIENCE))


def spend_of_month(budgets: Any, arn: str) -> Spend:  # noqa: ANN401 - a boto3 client
    """Read the budget, and how much of it AWS has billed this month."""
    account, _, name = arn.partition("::")[2].partition(":budget/")
    budget = budgets.describe_budget(AccountId=account, BudgetName=name)["Budget"]
    actual = budget["CalculatedSpend"]["ActualSpend"]["Amount"]
    return Spend(float(actual), float(budget["BudgetLimit"]["Amount"]))


def observe(pool: WorkPool, limits: BrakeLimits, now: datetime, spend: Spend | None) -> Observation:
    """Collect the facts for the decision.

    Raises:
        PrefectUnreachableError: the pool is not registered, or Prefect does not answer as expected.
    """
    runs = None if limits.runs_an_hour is None else pool.runs_since(now - HOUR)
    return Observation(now, pool.is_paused(), runs, spend)


def brake(
    pool: WorkPool,
    notes: NoteStore,
    limits: BrakeLimits,
    seen: Observation,
    publish: Callable[[str, str], object],
) -> bool:
    """Pause the pool if that is due, and report it; return whether the brake has paused it.

    The note is written before the pause, and again after the message is sent. If a check stops in
    between, the next one completes the pull. `publish` sends a message, given its subject and
    text.

    Raises:
        PrefectUnreachableError: Prefect does not pause the pool.
        ClientError, BotoCoreError: the note could not be stored, or the message not sent.
    """
    note = notes.read()
    if note.state == "pulled" and not seen.is_paused:
        note = replace(note, state="released")
        notes.write(note)
    pull = pull_due(limits, seen, note)
    if pull is None:
        return note.state == "pulled" and seen.is_paused
    if not note.is_unfinished(seen.now):
        note = note.pulling(pull, seen.now)
        notes.write(note)
    pool.pause()
    publish(f"Brake: work pool {pool.name} is paused"[:_SUBJECT_LENGTH], message(pull, pool, note))
    notes.write(replace(note, state="pulled"))
    return True


def message(pull: Pull, pool: WorkPool, note: BrakeNote) -> str:
    """The message about a pull, as JSON: the reason, the effect, and what to do."""
    until = {
        cause: quiet_until(cause, note.pulled_at[cause]).isoformat(timespec="minutes")
        for cause in pull.causes
    }
    fields = {
        "event": "brake",
        "work_pool": pool.name,
        "why": pull.why,
        "meaning": "no further conversion starts; started ones continue; uploads wait, none is lost",
        "look": "echodrop status --since 1h",
        "resume": f"prefect work-pool resume {pool.name}",
        "not_pulled_again_before": until,
        "remedy": "if this load is intended, deploy with a larger "
        + " and ".join(_PARAMETERS[cause] for cause in pull.causes)
        + ", or with 0 for no limit",
    }
    return json.dumps(fields, indent=1)

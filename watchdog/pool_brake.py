"""Looks how much is converted and spent, and pauses Prefect's work pool where `cost_brake` says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watchdog.cost_brake import HOUR, Limits, Note, Pull, Seen, Spend, pull_due, quiet_until
from watchdog.prefect_http import PrefectHttp

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

NOTE = "state.json"
# SNS takes 100 characters of ASCII in a subject.
_SUBJECT_LENGTH = 99
# Seconds for one question, a short 429 included: those of the other parts come before.
_PATIENCE = 15.0
_PARAMETERS = {"runs": "BrakeRunsAnHour", "spend": "BrakeBudgetPercent"}


@dataclass(frozen=True)
class NoteStore:
    """Where the brake's note lies: an object below `prefix`, which ends in a slash."""

    s3: S3Client
    bucket: str
    prefix: str

    def read(self) -> Note:
        """The note; an empty one where there is none, or none that can be read.

        Raises:
            ClientError, BotoCoreError: S3 refuses or does not answer.
        """
        key = self.prefix + NOTE
        # Listed first: who may not list a whole bucket is refused what is not there.
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key)
        if not any(item["Key"] == key for item in listed.get("Contents", [])):
            return Note()
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        try:
            return Note.of(body.decode())
        except (ValueError, KeyError, TypeError):
            return Note()

    def write(self, note: Note) -> None:
        """Keep a note.

        Raises:
            ClientError, BotoCoreError: S3 refuses or does not answer.
        """
        self.s3.put_object(Bucket=self.bucket, Key=self.prefix + NOTE, Body=note.text().encode())


@dataclass(frozen=True)
class WorkPool:
    """A work pool of Prefect's."""

    api: PrefectHttp
    name: str

    def is_paused(self) -> bool:
        """Whether no run of it starts.

        Raises:
            PrefectUnreachableError: it is not registered, no answer, or none that says it.
        """
        return bool(
            self.api.ask("GET", f"/work_pools/{self.name}", None, patience=_PATIENCE)["is_paused"]
        )

    def pause(self) -> None:
        """Have no further run start; those that run go on.

        Raises:
            PrefectUnreachableError: no answer, or a refusal.
        """
        self.api.ask("PATCH", f"/work_pools/{self.name}", {"is_paused": True}, patience=_PATIENCE)

    def runs_since(self, since: datetime) -> int:
        """How many of its runs started for the first time since then.

        Prefect takes a run that waits by when it was to start, unless told to leave out
        what never started; and one that is cancelled before it started has the time of
        that. So what is cancelled is left out, although some of it had begun.

        Raises:
            PrefectUnreachableError: no answer, or none that says it.
        """
        asked = {
            "flow_runs": {
                "start_time": {"after_": since.isoformat(), "is_null_": False},
                "state": {"type": {"not_any_": ["CANCELLED"]}},
            },
            "work_pools": {"name": {"any_": [self.name]}},
        }
        return int(self.api.ask("POST", "/flow_runs/count", asked, patience=_PATIENCE))


def spend_of_month(budgets: Any, arn: str) -> Spend:  # noqa: ANN401 - boto3's client
    """What AWS has billed this month of what the budget counts.

    Raises:
        ClientError, BotoCoreError: AWS refuses or does not answer.
    """
    account, _, name = arn.partition("::")[2].partition(":budget/")
    budget = budgets.describe_budget(AccountId=account, BudgetName=name)["Budget"]
    actual = budget["CalculatedSpend"]["ActualSpend"]["Amount"]
    return Spend(float(actual), float(budget["BudgetLimit"]["Amount"]))


def look_at(pool: WorkPool, limits: Limits, now: datetime, spend: Spend | None) -> Seen:
    """What there is to decide by.

    Raises:
        PrefectUnreachableError: the pool is not registered, no answer, or none that says it.
    """
    runs = None if limits.runs_an_hour is None else pool.runs_since(now - HOUR)
    return Seen(now, pool.is_paused(), runs, spend)


def brake(
    pool: WorkPool,
    notes: NoteStore,
    limits: Limits,
    seen: Seen,
    publish: Callable[[str, str], object],
) -> bool:
    """Pause the pool where that is due, and say so; return whether it is paused by the brake.

    It is noted before it is done, and once more when people know: a look that breaks
    off in between is finished by the next one.

    Args:
        pool: to be paused.
        notes: where it is noted.
        limits: as they are set.
        seen: by this look.
        publish: takes subject and text of a message for people.

    Raises:
        PrefectUnreachableError: Prefect does not pause it.
        ClientError, BotoCoreError: it could not be noted or said.
    """
    note = notes.read()
    if note.state == "pulled" and not seen.is_paused:
        note = note.with_state("released")
        notes.write(note)
    pull = pull_due(limits, seen, note)
    if pull is None:
        return note.state == "pulled" and seen.is_paused
    if not note.is_unfinished(seen.now):
        note = note.pulling(pull, seen.now)
        notes.write(note)
    pool.pause()
    publish(f"Brake: work pool {pool.name} is paused"[:_SUBJECT_LENGTH], message(pull, pool, note))
    notes.write(note.with_state("pulled"))
    return True


def message(pull: Pull, pool: WorkPool, note: Note) -> str:
    """What people are sent, JSON: why, what it means, how to go on."""
    until = {
        cause: quiet_until(cause, note.pulled_at[cause]).isoformat(timespec="minutes")
        for cause in pull.causes
    }
    told = {
        "event": "brake",
        "work_pool": pool.name,
        "why": pull.why,
        "meaning": "no further conversion starts; what runs goes on; uploads wait, none is lost",
        "look": "echodrop status --since 1h",
        "resume": f"prefect work-pool resume {pool.name}",
        "not_pulled_again_before": until,
        "remedy": "is this load wanted? Deploy with a larger "
        + " and ".join(_PARAMETERS[cause] for cause in pull.causes)
        + ", or 0 for none",
    }
    return json.dumps(told, indent=1)

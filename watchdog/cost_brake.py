"""Decides when to pause Prefect's work pool because conversions cost too much.

This module is pure; `pool_brake` collects the facts and pauses the pool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

HOUR = timedelta(hours=1)

Cause = Literal["runs", "spend"]
# `pulling`: decided; `pulled`: paused and reported; `released`: an operator resumed the pool.
State = Literal["pulling", "pulled", "released"]


@dataclass(frozen=True)
class Spend:
    """Dollars that AWS has billed this month, and the budget."""

    actual: float
    budget: float


@dataclass(frozen=True)
class BrakeLimits:
    """Above them the brake pauses the pool: runs that start within an hour, and percent of the month's budget; None disables one."""

    runs_an_hour: float | None
    budget_percent: float | None

    @property
    def any_is_set(self) -> bool:
        """Whether any limit is set."""
        return self.runs_an_hour is not None or self.budget_percent is not None


@dataclass(frozen=True)
class Observation:
    """The facts of one check; None if a value is unknown or not needed."""

    now: datetime
    is_paused: bool
    runs: int | None = None
    spend: Spend | None = None


@dataclass(frozen=True)
class Pull:
    """A decision to pause the pool: the causes, and the reason in words."""

    causes: tuple[Cause, ...]
    why: str


@dataclass(frozen=True)
class BrakeNote:
    """The state of the brake, stored between checks.

    `pulled_at` is the time of the latest pull for each cause.
    """

    state: State | None = None
    latest: Pull | None = None
    pulled_at: Mapping[Cause, datetime] = field(default_factory=dict)

    def pulling(self, pull: Pull, now: datetime) -> Self:
        """The note for a pull that was just decided."""
        times = {**self.pulled_at, **dict.fromkeys(pull.causes, now)}
        return replace(self, state="pulling", latest=pull, pulled_at=times)

    def is_unfinished(self, now: datetime) -> bool:
        """Whether a check in the last hour decided on a pull and did not complete it."""
        if self.state != "pulling" or self.latest is None:
            return False
        return now - self.pulled_at[self.latest.causes[0]] < HOUR

    def text(self) -> str:
        """The note as JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse the JSON of `text`.

        Raises:
            ValueError, KeyError, TypeError: the text is not a note.
        """
        fields = json.loads(text)
        times = {cause: datetime.fromisoformat(time) for cause, time in fields["pulled_at"].items()}
        latest = fields["latest"] and Pull(
            tuple(fields["latest"]["causes"]), fields["latest"]["why"]
        )
        return cls(fields["state"], latest, times)


def pull_due(limits: BrakeLimits, seen: Observation, note: BrakeNote) -> Pull | None:
    """Decide whether to pause the pool now; None if not, or if the facts are unknown.

    A pull that an earlier check did not complete is due again within the hour. A paused
    pool is left alone. A pool that an operator resumed is left alone until an hour after
    the pull or, if the cause was the spend, until the end of the month.
    """
    if note.is_unfinished(seen.now):
        return note.latest
    if seen.is_paused:
        return None
    found: dict[Cause, str | None] = {
        "runs": _too_many_runs(limits, seen),
        "spend": _too_much_spent(limits, seen),
    }
    why = {
        cause: text
        for cause, text in found.items()
        if text and not _is_quiet(cause, seen.now, note)
    }
    return Pull(tuple(why), "; ".join(why.values())) if why else None


def quiet_until(cause: Cause, pulled_at: datetime) -> datetime:
    """Until when the brake leaves a resumed pool alone."""
    if cause == "runs":
        return pulled_at + HOUR
    # A budget's month is in UTC.
    first = pulled_at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _is_quiet(cause: Cause, now: datetime, note: BrakeNote) -> bool:
    pulled_at = note.pulled_at.get(cause)
    return pulled_at is not None and now < quiet_until(cause, pulled_at)


def _too_many_runs(limits: BrakeLimits, seen: Observation) -> str | None:
    if limits.runs_an_hour is None or seen.runs is None or seen.runs <= limits.runs_an_hour:
        return None
    return f"{seen.runs} runs started within an hour, BrakeRunsAnHour is {limits.runs_an_hour:g}"


def _too_much_spent(limits: BrakeLimits, seen: Observation) -> str | None:
    if limits.budget_percent is None or seen.spend is None:
        return None
    if seen.spend.actual <= seen.spend.budget * limits.budget_percent / 100:
        return None
    return (
        f"${seen.spend.actual:.2f} was spent this month, BrakeBudgetPercent allows "
        f"{limits.budget_percent:g} % of ${seen.spend.budget:.2f}"
    )

"""Decides when conversions cost more than they may, so that Prefect's work pool is paused.

Pure: what was seen goes in, what is due comes out. `pool_brake` looks and acts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

HOUR = timedelta(hours=1)

Cause = Literal["runs", "spend"]
# `pulling`: decided, and perhaps not done; `pulled`: done and said; `released`: somebody resumed the pool.
State = Literal["pulling", "pulled", "released"]


@dataclass(frozen=True)
class Spend:
    """Dollars of this month that AWS has billed so far, and the budget."""

    actual: float
    budget: float


@dataclass(frozen=True)
class Limits:
    """Beyond which the brake is pulled; None: never for that cause.

    Attributes:
        runs_an_hour: runs that may start within an hour.
        budget_percent: of the month's budget.
    """

    runs_an_hour: float | None
    budget_percent: float | None

    @property
    def any_is_set(self) -> bool:
        """Whether there is anything to look at."""
        return self.runs_an_hour is not None or self.budget_percent is not None


@dataclass(frozen=True)
class Seen:
    """One look; None: it could not be learnt, or was not asked for."""

    now: datetime
    is_paused: bool
    runs: int | None = None
    spend: Spend | None = None


@dataclass(frozen=True)
class Pull:
    """That the pool is to be paused: for which causes, and why, for people."""

    causes: tuple[Cause, ...]
    why: str


@dataclass(frozen=True)
class Note:
    """What the brake has done, kept between two looks.

    Attributes:
        state: of the latest pull; None: it was never pulled.
        latest: that pull.
        pulled_at: when it was pulled last for each cause.
    """

    state: State | None = None
    latest: Pull | None = None
    pulled_at: Mapping[Cause, datetime] = field(default_factory=dict)

    def pulling(self, pull: Pull, now: datetime) -> Self:
        """The note of a pull that is decided."""
        times = {**self.pulled_at, **dict.fromkeys(pull.causes, now)}
        return replace(self, state="pulling", latest=pull, pulled_at=times)

    def is_unfinished(self, now: datetime) -> bool:
        """Whether a look of the last hour decided to pull and did not come to its end."""
        if self.state != "pulling" or self.latest is None:
            return False
        return now - self.pulled_at[self.latest.causes[0]] < HOUR

    def with_state(self, state: State) -> Self:
        """The same pull in another state."""
        return replace(self, state=state)

    def text(self) -> str:
        """As JSON."""
        latest = self.latest and {"causes": self.latest.causes, "why": self.latest.why}
        times = {cause: time.isoformat() for cause, time in self.pulled_at.items()}
        return json.dumps({"state": self.state, "latest": latest, "pulled_at": times})

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what `text` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        told = json.loads(text)
        times = {cause: datetime.fromisoformat(time) for cause, time in told["pulled_at"].items()}
        latest = told["latest"] and Pull(tuple(told["latest"]["causes"]), told["latest"]["why"])
        return cls(told["state"], latest, times)


def pull_due(limits: Limits, seen: Seen, note: Note) -> Pull | None:
    """Whether the pool is to be paused now; None where not, or where nothing could be learnt.

    A pull that a look decided and could not finish is due again within the hour. A
    pool that is paused is left alone, and so is one that somebody resumed: for what
    is left of the hour after the pull, or of the month where it was for the spend.
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
    """Until when the brake leaves a pool alone that somebody resumed."""
    if cause == "runs":
        return pulled_at + HOUR
    # A budget's month is one of UTC.
    first = pulled_at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _is_quiet(cause: Cause, now: datetime, note: Note) -> bool:
    pulled_at = note.pulled_at.get(cause)
    return pulled_at is not None and now < quiet_until(cause, pulled_at)


def _too_many_runs(limits: Limits, seen: Seen) -> str | None:
    if limits.runs_an_hour is None or seen.runs is None or seen.runs <= limits.runs_an_hour:
        return None
    return f"{seen.runs} runs started within an hour, BrakeRunsAnHour is {limits.runs_an_hour:g}"


def _too_much_spent(limits: Limits, seen: Seen) -> str | None:
    if limits.budget_percent is None or seen.spend is None:
        return None
    if seen.spend.actual <= seen.spend.budget * limits.budget_percent / 100:
        return None
    return (
        f"${seen.spend.actual:.2f} were spent this month, BrakeBudgetPercent allows "
        f"{limits.budget_percent:g} % of ${seen.spend.budget:.2f}"
    )

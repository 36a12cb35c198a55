"""When the brake pauses a pool, when it leaves a pool alone, and how it treats unknown values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

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

NOW = datetime(2026, 7, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIMITS = BrakeLimits(runs_an_hour=1000, budget_percent=200)
PULL = Pull(("runs",), "too many")


def seen(
    runs: int | None = 0,
    spend: float | None = 0,
    *,
    after: timedelta = timedelta(),
    is_paused: bool = False,
) -> Observation:
    return Observation(NOW + after, is_paused, runs, None if spend is None else Spend(spend, 100))


def pulled(pull: Pull = PULL) -> BrakeNote:
    return replace(BrakeNote().pulling(pull, NOW), state="released")


@pytest.mark.parametrize(
    ("look", "causes"),
    [
        (seen(1000, 200), ()),
        (seen(1001, 200), ("runs",)),
        (seen(1000, 200.01), ("spend",)),
        (seen(5000, 300), ("runs", "spend")),
        # An unknown value causes no pull.
        (seen(None, None), ()),
        (seen(None, 300), ("spend",)),
        (seen(1001, None), ("runs",)),
    ],
)
def test_a_pull_is_due_above_a_limit_that_is_known(
    look: Observation, causes: tuple[str, ...]
) -> None:
    due = pull_due(LIMITS, look, BrakeNote())
    assert (due.causes if due else ()) == causes


def test_the_reason_has_the_numbers_and_the_parameter() -> None:
    due = pull_due(LIMITS, seen(1204, 250.5), BrakeNote())
    assert due is not None
    assert due.why == (
        "1204 runs started within an hour, BrakeRunsAnHour is 1000; "
        "$250.50 was spent this month, BrakeBudgetPercent allows 200 % of $100.00"
    )


def test_a_disabled_limit_causes_no_pull() -> None:
    assert pull_due(BrakeLimits(None, None), seen(10**6, 10**6), BrakeNote()) is None
    assert pull_due(BrakeLimits(0, None), seen(1, 10**6), BrakeNote()) is not None


def test_a_pool_that_is_paused_is_not_paused_again() -> None:
    assert pull_due(LIMITS, seen(5000, 300, is_paused=True), BrakeNote()) is None


def test_a_resumed_pool_is_left_alone_for_the_rest_of_the_hour() -> None:
    note = pulled()
    for minutes in (5, 30, 59):
        assert pull_due(LIMITS, seen(5000, after=minutes * MINUTE), note) is None
    due = pull_due(LIMITS, seen(5000, after=HOUR), note)
    assert due is not None


def test_after_a_pull_for_the_spend_it_is_left_alone_for_the_rest_of_the_month() -> None:
    note = pulled(Pull(("spend",), "too much"))
    last = datetime(2026, 7, 31, 23, 59, tzinfo=UTC) - NOW
    assert pull_due(LIMITS, seen(0, 300, after=last), note) is None
    assert pull_due(LIMITS, seen(0, 300, after=last + MINUTE), note) is not None
    # The other cause still applies.
    assert pull_due(LIMITS, seen(5000, 300, after=5 * MINUTE), note) is not None


def test_a_pool_resumed_after_both_causes_is_left_alone_by_both() -> None:
    note = pulled(Pull(("runs", "spend"), "both"))
    assert pull_due(LIMITS, seen(5000, 300, after=5 * MINUTE), note) is None


def test_a_pull_for_one_cause_keeps_the_time_of_the_other() -> None:
    note = pulled(Pull(("spend",), "too much"))
    note = replace(note.pulling(PULL, NOW + HOUR), state="released")
    assert pull_due(LIMITS, seen(5000, 300, after=HOUR + 5 * MINUTE), note) is None


@pytest.mark.parametrize("is_paused", [False, True])
def test_an_unfinished_pull_is_completed_by_the_next_check(*, is_paused: bool) -> None:
    note = BrakeNote().pulling(PULL, NOW)
    assert pull_due(LIMITS, seen(0, after=5 * MINUTE, is_paused=is_paused), note) == PULL
    # A decision older than an hour no longer counts.
    assert pull_due(LIMITS, seen(0, after=HOUR, is_paused=is_paused), note) is None


@pytest.mark.parametrize(
    ("pulled_at", "until"),
    [
        (datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_the_rest_of_the_month_ends_at_its_end(pulled_at: datetime, until: datetime) -> None:
    assert quiet_until("spend", pulled_at) == until


def test_a_note_is_read_as_it_was_written() -> None:
    for note in (BrakeNote(), BrakeNote().pulling(Pull(("runs", "spend"), "both"), NOW), pulled()):
        assert BrakeNote.of(note.text()) == note
    with pytest.raises((ValueError, KeyError, TypeError)):
        BrakeNote.of("[]")

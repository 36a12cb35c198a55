"""The check whether full lanes would trigger the brake."""

from __future__ import annotations

import pytest

from flows.deployment.account_checks import check_brake


def outputs(live: int, limit: int) -> dict[str, str]:
    return {
        "LiveConcurrency": str(live),
        "BackfillConcurrency": "1",
        "ConversionConcurrency": "0",
        "BrakeRunsAnHour": str(limit),
    }


@pytest.mark.parametrize(("live", "limit"), [(4, 1000), (4, 360)])
def test_lanes_that_cannot_reach_it_have_no_note(live: int, limit: int) -> None:
    found = check_brake(outputs(live, limit))
    assert (found.problem, found.note) == (None, None)


def test_the_note_for_wider_lanes_has_the_limit_that_they_need() -> None:
    found = check_brake(outputs(19, 1000))
    assert found.problem is None
    assert found.note is not None
    assert "up to 1440" in found.note
    assert found.fix == "BrakeRunsAnHour=1440"


def test_a_brake_that_is_off_is_noted() -> None:
    assert "switched off" in (check_brake(outputs(100, 0)).note or "")

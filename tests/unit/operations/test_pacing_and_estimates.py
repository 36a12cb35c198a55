"""The rate limit, and the estimate of the cost."""

from __future__ import annotations

import pytest

from operations.sending.back_pressure import Pace
from operations.sending.estimates import Estimate, length


def test_the_rate_is_kept_and_a_slow_sender_does_not_catch_up() -> None:
    now, slept = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    pace = Pace(2.0, sleep, lambda: now)
    for count in (1, 1, 4):
        pace.take(count)
    assert slept == [0.5, 0.5]
    now += 60
    for _ in range(2):
        pace.take()
    assert slept[2:] == [0.5]
    Pace(None, sleep, lambda: now).take(1000)
    assert len(slept) == 3


def test_the_estimate_uses_the_most_expensive_size_that_the_name_allows() -> None:
    few, many, one = (Estimate() for _ in range(3))
    few.add("a.raw", 2_200_000_000)
    many.add("a.raw", 2_210_000_000)
    # Hardly more bytes, but not in a standard task.
    assert many.dollars > 1.5 * few.dollars > 0
    one.add("a.raw", None)
    assert "1 of unknown size" in one.sentence(None)
    for _ in range(999):
        one.add("b.raw", None)
    shown = one.sentence(10, at_once=4)
    assert "1,000 uploads" in shown
    assert "sent within 100 s" in shown
    assert "4 h with 4 at a time" in shown


def test_an_estimate_is_not_below_the_measured_cost() -> None:
    # docs/sizes-and-costs.md: dollars for one file in its own task.
    for megabytes, measured in ((3, 0.00158), (26, 0.00158), (25, 0.00202), (250, 0.00224)):
        found = Estimate()
        found.add("a.raw", megabytes * 10**6)
        assert measured <= found.dollars <= 1.5 * measured


def test_one_upload_is_one_and_a_cost_is_never_nothing() -> None:
    found = Estimate()
    assert found.sentence(None) == "nothing to convert"
    found.add("a.raw", 1)
    assert found.sentence(None).startswith("1 upload, 1 byte, ")
    assert found.sentence(None).endswith("less than $0.01 at most, list prices")
    for _ in range(9):
        found.add("a.raw", 1)
    assert found.sentence(None).startswith("10 uploads, 10 bytes, ")
    assert found.sentence(None).endswith("$0.02 at most, list prices")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (90, "90 s"), (3600, "60 min"), (1e5, "28 h"), (1e6, "12 d")],
)
def test_a_duration_is_shown_in_its_largest_unit(seconds: float, shown: str) -> None:
    assert length(seconds) == shown

"""The printed report and its JSON."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from operations.console.report import FindingTally, age
from operations.findings.findings import NEEDS_ATTENTION, REMEDIES, Kind, UploadFinding

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def failed(number: int) -> UploadFinding:
    since = NOW - timedelta(hours=number)
    return UploadFinding(Kind.FAILED, f"s3://inbox/{number}[1].raw", "BadFile: [cut]", since)


def test_counts_are_complete_and_the_oldest_are_listed() -> None:
    tally = FindingTally(shown=2)
    for number in [*range(3, 60), 0, 1, 2]:
        tally.add(failed(number))
    tally.add(UploadFinding(Kind.DONE, "s3://inbox/good.raw"))
    console = Console(record=True, width=200, file=open_nowhere())
    tally.print(console, NOW)
    text = console.export_text()
    assert [finding.uri for finding in tally.oldest(Kind.FAILED)] == [
        "s3://inbox/59[1].raw",
        "s3://inbox/58[1].raw",
    ]
    assert "s3://inbox/59[1].raw" in text
    assert "BadFile: [cut]" in text
    assert "… and 58 more" in text
    assert "good.raw" not in text
    assert REMEDIES[Kind.FAILED] in text
    assert tally.summary() == {
        "counts": {"done": 1, "failed": 60},
        "needs_attention": True,
        "fixed": {},
    }


def open_nowhere() -> io.StringIO:

    return io.StringIO()


@pytest.mark.parametrize("kind", list(Kind))
def test_only_classes_with_a_remedy_need_attention(kind: Kind) -> None:
    tally = FindingTally()
    tally.add(UploadFinding(kind, "s3://inbox/a.raw"))
    assert tally.needs_attention == (kind in NEEDS_ATTENTION) == (kind in REMEDIES)


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(0, "0 min"), (119, "119 min"), (120, "2 h"), (2879, "47 h"), (2880, "2 d")],
)
def test_ages_are_in_the_largest_unit_that_fits(minutes: int, shown: str) -> None:
    assert age(NOW - timedelta(minutes=minutes), NOW) == shown

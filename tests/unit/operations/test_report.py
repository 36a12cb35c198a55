"""The printed report and its JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from flows.publishing.manifest import MANIFEST_VERSION
from operations.console.report import FindingTally, age
from operations.findings.classification import ClassificationLimits, classify
from operations.findings.findings import (
    NEEDS_ATTENTION,
    REMEDIES,
    WITHOUT_PRODUCTS,
    Kind,
    Source,
    UploadFinding,
)
from operations.findings.output_state import OutputFacts, judge_output, manifest_facts

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


def test_a_current_output_that_lacks_something_is_listed_with_what_it_lacks() -> None:
    source = Source("inbox", "a.raw", 7, "etag", NOW)
    manifest = {
        "manifest_version": MANIFEST_VERSION,
        "source": {"uri": source.uri, "etag": source.etag},
        "sidecars": [],
        "output": {"objects": 1, "bytes": 5, "sha256": "0"},
        "missing": "18 pings are not in the file",
        "quality": [
            {"sentence": "the clock goes back 1 time", "alarm": True},
            {"sentence": "40 pings", "alarm": False},
        ],
    }
    output = OutputFacts(1, 5, manifest_facts(json.dumps(manifest).encode()))
    done = classify(source, [], judge_output(source, output), ClassificationLimits(), NOW)
    assert done.kind is Kind.DONE
    tally = FindingTally()
    tally.add(done)
    console = Console(record=True, width=200, file=open_nowhere())
    tally.print(console, NOW)
    text = console.export_text()
    assert "missing: 18 pings are not in the file; the clock goes back 1 time" in text
    assert "40 pings" not in text
    assert not tally.needing_attention


# A terminal of this width, or None for a pipe, which rich takes to be 80 columns wide.
WIDTHS = [80, 200, None]


def shown(width: int | None, draw: Callable[[Console], None]) -> list[str]:
    """The lines that a console of this width prints."""
    out = io.StringIO()
    terminal = {"force_terminal": True, "width": width, "color_system": None}
    draw(Console(file=out, **(terminal if width else {})))  # type: ignore[arg-type]
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_names_and_reasons_are_whole_at_any_width(width: int | None) -> None:
    folder = "cruises/2007/HB0706/Henry B. Bigelow/leg 2/" + "EK60 transect " * 6
    uris = [f"s3://echodrop-inbox-123456789012/{folder}/[{number}].raw" for number in range(3)]
    reason = "the file ends within a datagram: " + "intact up to byte 1234567, " * 12 + "the end"
    tally = FindingTally()
    for uri in uris:
        detail = f"BadFile: {uri}: {reason}"
        tally.add(UploadFinding(Kind.QUARANTINED, uri, detail, NOW - timedelta(hours=5)))
    lines = shown(width, lambda console: tally.print(console, NOW))
    assert [line.strip() for line in lines if "s3://" in line] == [f"{uri}  (5 h)" for uri in uris]
    text = " ".join(" ".join(lines).split())
    assert text.count(reason) == 1
    assert text.count(REMEDIES[Kind.QUARANTINED]) == 1
    assert "…" not in text
    if width is None:
        assert f"  BadFile: {reason}" in lines
    else:
        assert max(len(line) for line in lines if "s3://" not in line) <= width


def open_nowhere() -> io.StringIO:

    return io.StringIO()


@pytest.mark.parametrize("kind", list(Kind))
def test_only_classes_with_a_remedy_need_attention(kind: Kind) -> None:
    tally = FindingTally()
    tally.add(UploadFinding(kind, "s3://inbox/a.raw"))
    assert bool(tally.needing_attention) == (kind in NEEDS_ATTENTION) == (kind in REMEDIES)


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(0, "0 min"), (119, "119 min"), (120, "2 h"), (2879, "47 h"), (2880, "2 d")],
)
def test_ages_are_in_the_largest_unit_that_fits(minutes: int, shown: str) -> None:
    assert age(NOW - timedelta(minutes=minutes), NOW) == shown


def test_notes_are_counted_and_printed_and_need_no_attention() -> None:
    tally = FindingTally()
    for number in range(3):
        tally.add(UploadFinding(Kind.DONE, f"s3://inbox/{number}.raw", note=WITHOUT_PRODUCTS))
    assert not tally.needing_attention
    assert tally.summary()["notes"] == {WITHOUT_PRODUCTS: 3}
    console = Console(record=True, width=200, file=open_nowhere())
    tally.print(console, NOW)
    assert f"3 {WITHOUT_PRODUCTS}" in console.export_text()

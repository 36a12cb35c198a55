"""A faulty file is tagged and has a report next to its output; a replaced version has no report."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from flows.core.source_version import SourceVersion
from flows.failures.failure_report import FailedRun, FailureReport
from flows.failures.quarantine import hold, release
from tests.contract.flows.conftest import Buckets

REPORT = "out.zarr.failure.json"


def fail(buckets: Buckets, key: str, etag: str) -> None:
    request = buckets.request(key, source_etag=etag)
    report = FailureReport(
        source=request.raw_file,
        sonar_model="EK60",
        cruise="",
        output=request.output_path,
        outcome="BadFile",
        message=f"{request.raw_file}: cut off",
        kind="truncated",
        run=FailedRun(id="run", name="a", url=None),
        failed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    hold(request, report)


def tags(buckets: Buckets, key: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in buckets.inbox.tags(key, None)}


def test_a_file_at_fault_is_marked_and_its_report_is_kept(buckets: Buckets) -> None:
    fail(buckets, "a.raw", buckets.upload("a.raw", b"cut"))
    assert tags(buckets, "a.raw") == {"echodrop-outcome": "BadFile", "echodrop-reason": "cut off"}
    kept = buckets.output.get(REPORT)
    assert kept is not None
    assert json.loads(kept.body)["outcome"] == "BadFile"


@pytest.mark.parametrize("own", [{}, {"cruise": "2007"}])
def test_a_released_file_keeps_only_the_tags_of_its_owner(
    buckets: Buckets, own: dict[str, str]
) -> None:
    etag = buckets.upload("a.raw", b"cut")
    if own:
        given: list[Any] = [{"Key": name, "Value": text} for name, text in own.items()]
        buckets.inbox.put_tags("a.raw", None, given)
    fail(buckets, "a.raw", etag)
    request = buckets.request("a.raw", source_etag=etag)
    release(request.source, request.input_storage_options, SourceVersion(etag, None))
    assert tags(buckets, "a.raw") == own


def test_what_was_replaced_or_removed_leaves_no_report_beside_the_newer_ones_output(
    buckets: Buckets,
) -> None:
    before = buckets.upload("a.raw", b"cut")
    buckets.upload("a.raw", b"whole")
    fail(buckets, "a.raw", before)
    assert tags(buckets, "a.raw") == {}
    fail(buckets, "removed.raw", before)
    assert buckets.output_keys() == set()

"""The results of a scheduled reconciliation: its report, metrics, table and final state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING

from flows.core.locations import S3Location, parse_location
from operations.clients.stack_settings import SettingMissingError
from operations.console.report import FindingTally
from operations.findings.findings import REMEDIES, Kind, UploadFinding

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.literals import StandardUnitType
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, MetricDatumTypeDef
    from mypy_boto3_s3 import S3Client

# The variable with the S3 URI for reports, ending in '/'.
REPORTS = "ECHODROP_REPORTS"
NAMESPACE = "echodrop"
SERVICE = "reconcile"
# Uploads of these classes should have an outcome by now, or a healthy run.
WITHOUT_OUTCOME = (Kind.NEVER_NOTIFIED, Kind.LATE, Kind.STUCK, Kind.TORN)


def place_of(named: str | None) -> S3Location:
    """Parse the S3 URI for reports; its key is a prefix.

    Raises:
        SettingMissingError: it is missing, or not an S3 URI.
    """
    place = parse_location(named) if named else None
    if not isinstance(place, S3Location):
        raise SettingMissingError(f"not set: {REPORTS}, s3://bucket/prefix/ for reports")
    return place.as_prefix()


@dataclass(frozen=True)
class Report:
    """Lines of JSON in a temporary file, until all is checked."""

    file: IO[bytes]

    def write(self, values: object) -> None:
        """Add a line."""
        self.file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")

    def keep(
        self, s3: S3Client, place: S3Location, began: datetime, summary: dict[str, object]
    ) -> str:
        """Store the report in S3, with the summary as its last line; return its URI."""
        key = f"{place.key}{began:%Y/%m/%d/%H%M%S}.jsonl"
        uri = S3Location(place.bucket, key).uri
        self.write(summary | {"report": uri})
        self.file.seek(0)
        s3.put_object(
            Bucket=place.bucket, Key=key, Body=self.file, ContentType="application/x-ndjson"
        )
        return uri


def figures(
    stack: str, tally: FindingTally, seconds: float, whole_age: timedelta | None = timedelta()
) -> list[MetricDatumTypeDef]:
    """Metrics of a stack for CloudWatch's `PutMetricData`, in `NAMESPACE`.

    `whole_age` is how long ago the last check of everything began; None leaves it out.
    """
    owner: tuple[DimensionTypeDef, ...] = (
        {"Name": "stack", "Value": stack},
        {"Name": "service", "Value": SERVICE},
    )
    named: dict[str, tuple[float, StandardUnitType]] = {
        "Reconciled": (sum(tally.counts.values()), "Count"),
        "NeedAttention": (sum(tally.needing_attention.values()), "Count"),
        "NeverNotified": (tally.counts[Kind.NEVER_NOTIFIED], "Count"),
        "UploadsWithoutOutcome": (sum(tally.counts[kind] for kind in WITHOUT_OUTCOME), "Count"),
        "WaitingTooLong": (tally.counts[Kind.OVERDUE], "Count"),
        "Repaired": (tally.done, "Count"),
        "Seconds": (seconds, "Seconds"),
    }
    if whole_age is not None:
        named["WholeLookAgeSeconds"] = (whole_age.total_seconds(), "Seconds")
    return [
        {"MetricName": name, "Dimensions": owner, "Value": value, "Unit": unit}
        for name, (value, unit) in named.items()
    ]


def rows(tally: FindingTally) -> list[dict[str, str]]:
    """A table for the UI: each class with its count, its oldest uploads and its remedy, then the notes."""
    of_classes = [
        (kind.value, tally.counts[kind], tally.oldest(kind)[:3], REMEDIES.get(kind, ""))
        for kind in Kind
        if tally.counts[kind]
    ]
    of_notes = [("note", count, list[UploadFinding](), note) for note, count in tally.notes.items()]
    return [
        {
            "class": name,
            "uploads": f"{count:,}",
            "oldest": ", ".join(found.uri for found in oldest),
            "what to do": remedy,
        }
        for name, count, oldest, remedy in [*of_classes, *of_notes]
    ]


def verdict(tally: FindingTally, report: str) -> tuple[str, str]:
    """Name and message of the state that the run ends in."""
    remaining = tally.needing_attention
    total = sum(tally.counts.values())
    message = f"{total:,} checked, {tally.done:,} fixed; report {report}"
    if not remaining:
        return "Completed", message
    message += "; " + ", ".join(f"{name} {count:,}" for name, count in remaining.items())
    # Repaired: everything that needed attention was just sent again or retried.
    return "Repaired" if tally.done == sum(remaining.values()) else "NeedsAttention", message

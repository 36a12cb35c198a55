"""Failure reports: whose fault it is, which incident it belongs to, what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources

import jsonschema
import pytest

from flows.core.locations import S3Location
from flows.core.outcomes import (
    AllFailed,
    BadFile,
    ConversionFailure,
    FileFault,
    PartlyFailed,
    Superseded,
)
from flows.core.run_ends import Crashed, Defect, Outcome, RunEnd, TimedOut
from flows.failures.alerts import Channels, subject
from flows.failures.failure_report import (
    FAILURES,
    FailedRun,
    FailureReport,
    cruise_of,
    failure_named,
    kind_of,
    report_bytes,
)
from flows.failures.incidents import incident_id
from flows.failures.quarantine import retagged, tag_value

SCHEMA = json.loads(
    resources.files("flows.failures").joinpath("failure_report.schema.json").read_text("utf-8")
)

REPORT = FailureReport(
    source="s3://inbox/HB0710/leg1/D2007.raw",
    etag="abc",
    sonar_model="EK60",
    cruise="HB0710/leg1",
    output="s3://output/HB0710/leg1/D2007.zarr",
    outcome="BadFile",
    message="s3://inbox/HB0710/leg1/D2007.raw: cut off",
    kind="truncated",
    run=FailedRun(id="r-1", name="D2007", url="http://prefect/runs/flow-run/r-1"),
    failed_at=datetime(2026, 7, 24, 4, 24, tzinfo=UTC),
)


FILE_FAULTS = {name for name, failure in FAILURES.items() if failure.of_the_file}
NOTICES = {name for name, failure in FAILURES.items() if not failure.pages}


def every(kind: type[RunEnd]) -> Iterator[type[RunEnd]]:
    for each in kind.__subclasses__():
        yield each
        yield from every(each)


def test_every_outcome_that_ends_a_run_has_its_remedy() -> None:
    # Bases are no ends, a batch is reported through its files, and what is superseded has not
    # failed.
    not_reported = {Outcome, ConversionFailure, FileFault, PartlyFailed, AllFailed, Superseded}
    assert set(FAILURES.values()) == set(every(RunEnd)) - not_reported
    assert {Defect, Crashed, TimedOut} < set(FAILURES.values())
    assert FILE_FAULTS < NOTICES < set(FAILURES)
    # A failure of the file wakes no one, and a retry would fail again.
    assert not any(failure.of_the_file and failure.is_retryable for failure in FAILURES.values())
    assert failure_named("a name that is not ours") is Defect


@pytest.mark.parametrize("outcome", sorted(FAILURES))
def test_only_what_can_wait_goes_to_the_topic_that_wakes_nobody(outcome: str) -> None:
    channels = Channels("arn:alerts", "arn:notices")
    expected = "arn:notices" if outcome in NOTICES else "arn:alerts"
    assert channels.topic_of(replace(REPORT, outcome=outcome)) == expected


def test_channels_come_from_the_environment_and_are_silent_without() -> None:
    assert Channels.of({}).topic_of(REPORT) is None
    channels = Channels.of(
        {"ECHODROP_ALERT_TOPIC_ARN": "a", "ECHODROP_INCIDENTS": "s3://bucket/.echodrop/incidents/"}
    )
    assert channels == Channels("a", None, S3Location("bucket", ".echodrop/incidents/"))
    with pytest.raises(ValueError, match="ECHODROP_INCIDENTS"):
        Channels.of({"ECHODROP_INCIDENTS": "/tmp/incidents"})


def test_an_alert_names_file_cause_run_and_what_to_type() -> None:
    alert = REPORT.as_alert()
    assert alert["file"] == REPORT.source
    assert (alert["outcome"], alert["why"], alert["kind"]) == (
        "BadFile",
        REPORT.message,
        "truncated",
    )
    assert (alert["cruise"], alert["sonar_model"]) == ("HB0710/leg1", "EK60")
    assert alert["run_url"] == "http://prefect/runs/flow-run/r-1"
    assert alert["replay"] == "echodrop replay s3://inbox/HB0710/leg1/D2007.raw"
    assert alert["report"] == "s3://output/HB0710/leg1/D2007.zarr.failure.json"
    stored = json.loads(report_bytes(REPORT))
    assert stored["report_version"] == 1
    assert stored["source"] == {"uri": REPORT.source, "etag": "abc", "version_id": None}
    assert stored["remedy"] == BadFile.remedy


@pytest.mark.parametrize("outcome", sorted(FILE_FAULTS))
def test_a_stored_report_holds_to_its_schema(outcome: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    stored = json.loads(report_bytes(replace(REPORT, outcome=outcome)))
    jsonschema.validate(stored, SCHEMA)
    for name in stored:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**stored, name: 1.5}, SCHEMA)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({each: stored[each] for each in stored if each != name}, SCHEMA)


def test_the_schema_knows_every_fault_of_a_file() -> None:
    assert set(SCHEMA["properties"]["outcome"]["enum"]) == FILE_FAULTS


def test_a_message_is_short_whatever_failed() -> None:
    alert = replace(REPORT, message="x" * 10**6, facts={"traceback": "y" * 10**6}).as_alert()
    assert len(json.dumps(alert)) < 10_000


def test_a_subject_is_one_line_of_ascii() -> None:
    assert subject(REPORT) == "BadFile: D2007.raw (HB0710/leg1)"
    odd = replace(REPORT, source="s3://inbox/höhe\n.raw", cruise="c" * 200)
    assert len(subject(odd)) == 99
    assert subject(odd).isascii()
    assert subject(odd).isprintable()
    assert "and 2 more" in subject(replace(REPORT, files=3))


@pytest.mark.parametrize(
    ("raw_file", "tags", "cruise"),
    [
        ("s3://inbox/HB0710/EK60/a.raw", {"cruise:HB0710", "model:EK60"}, "HB0710"),
        ("s3://inbox/HB0710/leg 1/a.raw", set(), "HB0710/leg 1"),
        ("s3://inbox/a.raw", {"cruise:"}, ""),
        ("/data/HB0710/a.raw", set(), "data/HB0710"),
    ],
)
def test_the_cruise_is_what_the_trigger_says_else_the_folder(
    raw_file: str, tags: set[str], cruise: str
) -> None:
    assert cruise_of(raw_file, frozenset(tags)) == cruise


def test_one_cause_is_one_incident_whatever_the_file() -> None:
    first = kind_of("BadFile", {"cause": "cut off at byte 1,234 of D2007.raw"}, None)
    second = kind_of("BadFile", {"cause": "cut off at byte 99 of D2008.raw"}, None)
    assert first == second
    assert kind_of("BadFile", {"cause": "the file does not exist"}, None) != first
    memory, fault, other = (
        kind_of(
            Crashed.outcome, {"cause": f"Process {pid} exited with status code: {code}. x"}, None
        )
        for pid, code in ((7, 137), (8, 1), (9, 1))
    )
    assert memory != fault == other
    assert kind_of("BadFile", {"cause": "any"}, {"condition": "hole"}) == "hole"
    one, other = (
        kind_of("WrongModel", {"declared": declared, "found": "EK80"}, None)
        for declared in ("EK60", "AZFP")
    )
    assert one != other
    ids = {
        incident_id(report)
        for report in (
            REPORT,
            replace(REPORT, source="s3://inbox/HB0710/leg1/D2008.raw"),
            replace(REPORT, outcome="AccessDenied"),
            replace(REPORT, cruise="HB0711"),
            replace(REPORT, kind="hole"),
        )
    }
    assert len(ids) == 4


def test_tags_of_others_stay_and_ours_are_replaced() -> None:
    before = [{"Key": "owner", "Value": "ship"}, {"Key": "echodrop-reason", "Value": "old"}]
    after = retagged(before, {"echodrop-outcome": "BadFile"})  # type: ignore[arg-type]
    assert after == [
        {"Key": "owner", "Value": "ship"},
        {"Key": "echodrop-outcome", "Value": "BadFile"},
    ]
    assert retagged(after, {}) == before[:1]
    full = [{"Key": str(number), "Value": ""} for number in range(10)]
    assert retagged(full, {"echodrop-outcome": "BadFile"}) is None  # type: ignore[arg-type]


def test_a_tags_value_is_what_s3_takes() -> None:
    assert tag_value("cut off at 50 % (ping 3); see\nüber") == "cut off at 50 ping 3 see ber"
    assert len(tag_value("a b " * 200)) <= 256

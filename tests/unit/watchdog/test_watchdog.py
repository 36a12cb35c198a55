"""The watchdog: its metrics, its messages, and its behaviour when a service does not answer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import boto3
import pytest
from botocore.exceptions import ClientError

from flows.convert_raw_sonar import convert_raw_sonar
from flows.convert_raw_sonar_batch import convert_raw_sonar_batch
from flows.core.outcomes import PartlyFailed
from flows.core.run_ends import OUTCOME_TAG, outcome_of
from flows.failures import incidents
from flows.failures.failure_report import FAILURES, FailureReport
from flows.failures.incidents import opens_incident
from flows.runs.batch.batch_entries import batch_state
from flows.runs.failed_runs import FILES_TAG, outcome_tags
from flows.stores.object_store import ObjectStore
from operations.reconcile.reconcile_flow import reconcile_inbox
from tests.monitoring.template_alarms import state_by_lines
from tests.unit.flows.test_failure_report import REPORT
from watchdog import handler, prefect_look
from watchdog import incidents as watched
from watchdog.cost_brake import BrakeLimits
from watchdog.emf import UNITS, emf_line
from watchdog.handler import WatchdogClients, subject
from watchdog.incidents import Incident, IncidentNote
from watchdog.prefect_http import PrefectHttp
from watchdog.prefect_look import FILE_OUTCOMES, FLOWS, failed_files
from watchdog.settings import SettingsError, WatchdogSettings, read_settings

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 7, 24, 12, tzinfo=UTC)
PREFIX = ".echodrop/incidents/"


def environment(**changes: str) -> dict[str, str]:
    return {
        # An unused port.
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "ECHODROP_STACK": "echodrop",
        "ECHODROP_WORK_POOL": "echodrop",
        "ECHODROP_DEAD_LETTER_URLS": "dead,other",
        "ECHODROP_INCIDENTS": f"s3://output/{PREFIX}",
        "ECHODROP_ALERT_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:alerts",
        "ECHODROP_NOTICE_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:notices",
        "ECHODROP_INBOX_BUCKET": "inbox",
        "ECHODROP_BRAKE_NOTE": "s3://output/.echodrop/brake/",
        **changes,
    }


@pytest.fixture
def services(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> WatchdogClients:
    # No Prefect answers here, so most checks would wait between their attempts.
    monkeypatch.setitem(PrefectHttp.__init__.__kwdefaults__ or {}, "sleep", lambda _seconds: None)
    made = WatchdogClients(
        session.client("s3"),
        session.client("sqs"),
        session.client("sns"),
        session.client("secretsmanager"),
        session.client("budgets"),
    )
    for bucket in ("inbox", "output"):
        made.s3.create_bucket(Bucket=bucket)
    return made


@pytest.fixture
def settings(services: WatchdogClients) -> WatchdogSettings:
    urls = [
        services.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "other", "heard")
    ]
    for topic in ("alerts", "notices"):
        arn = services.sns.create_topic(Name=topic)["TopicArn"]
        services.sns.subscribe(
            TopicArn=arn, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:heard"
        )
    return read_settings(environment(ECHODROP_DEAD_LETTER_URLS=f"{urls[0]},{urls[1]}"))


def look(
    settings: WatchdogSettings, services: WatchdogClients, now: datetime
) -> tuple[dict[str, float], dict[str, object]]:
    """Run a check without errors; return all metrics and facts."""
    metrics, facts, faults = looked(settings, services, now)
    assert faults == []
    return metrics, facts


def looked(
    settings: WatchdogSettings, services: WatchdogClients, now: datetime
) -> tuple[dict[str, float], dict[str, object], list[Exception]]:
    metrics: dict[str, float] = {}
    facts: dict[str, object] = {}
    faults: list[Exception] = []
    for learnt in handler.look(settings, services, now):
        metrics |= learnt.metrics
        facts |= learnt.facts
        faults += learnt.faults
    return metrics, facts, faults


def without(client: Any, *operations: str) -> Any:
    """A client whose service refuses these operations."""

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "KMS.DisabledException"}}, "any")

    broken = MagicMock(wraps=client)
    for operation in operations:
        getattr(broken, operation).side_effect = refuse
    return broken


def heard(services: WatchdogClients) -> list[dict[str, Any]]:
    url = services.sqs.get_queue_url(QueueName="heard")["QueueUrl"]
    found = []
    while messages := services.sqs.receive_message(QueueUrl=url).get("Messages"):
        for message in messages:
            services.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    return found


def test_a_missing_setting_is_named() -> None:
    for name in environment():
        with pytest.raises(SettingsError, match=name):
            read_settings(environment(**{name: ""}))
    with pytest.raises(SettingsError, match="HB0710"):
        read_settings(environment(ECHODROP_QUIET_INBOX="HB0710/"))
    settings = read_settings(environment(ECHODROP_QUIET_INBOX="HB0710/=6,=48"))
    assert settings.quiet_hours == {"HB0710/": 6.0, "": 48.0}


def test_an_unreachable_prefect_is_reported_and_the_rest_is_checked(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    services.sqs.send_message(QueueUrl=settings.dead_letter_urls[1], MessageBody="lost")
    metrics, facts = look(settings, services, NOW)
    assert metrics == {
        "PrefectReachable": 0,
        "DeadLetters": 1,
        "IncidentsOpen": 0,
        "IncidentsReported": 0,
        "BrakePulled": 0,
    }
    assert "127.0.0.1" in str(facts["prefect"])


def test_without_prefect_the_brake_does_nothing(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    metrics, facts = look(replace(settings, brake=BrakeLimits(1, 100)), services, NOW)
    assert "BrakePulled" not in metrics
    assert "127.0.0.1" in str(facts["brake"])
    assert "Contents" not in services.s3.list_objects_v2(Bucket="output")


def test_a_quiet_prefix_is_named(services: WatchdogClients, settings: WatchdogSettings) -> None:
    services.s3.put_object(Bucket="inbox", Key="busy/a.raw", Body=b"")
    watched_prefixes = read_settings(
        environment(ECHODROP_QUIET_INBOX="busy/=6,gone/=6")
    ).quiet_hours
    metrics, facts = look(
        replace(settings, quiet_hours=watched_prefixes), services, datetime.now(UTC)
    )
    assert (metrics["QuietPrefixes"], facts["quiet"]) == (1, ["gone/"])
    assert state_by_lines("QuietInboxAlarm", [emf_line("echodrop", metrics, {}, 0)]) == "ALARM"
    services.s3.put_object(Bucket="inbox", Key="gone/a.raw", Body=b"")
    metrics, _ = look(replace(settings, quiet_hours=watched_prefixes), services, later())
    assert (
        state_by_lines("QuietInboxAlarm", [emf_line("echodrop", metrics, {}, 0)], "ALARM") == "OK"
    )


def opened(services: WatchdogClients, report: FailureReport = REPORT) -> str:
    """Open an incident as a task does; return the folder of its later files."""
    mark = opens_incident(ObjectStore(services.s3, "output"), PREFIX, report)
    assert mark
    return mark.removesuffix(incidents.REPORTED)


def follow(services: WatchdogClients, folder: str, count: int) -> None:
    """Add a file as tasks do; moto without a server sends no date for the age of an incident."""
    for number in range(count):
        alert = replace(REPORT, source=f"s3://inbox/{number}.raw").as_alert()
        services.s3.put_object(
            Bucket="output", Key=f"{folder}{number}.json", Body=json.dumps(alert).encode()
        )


def mark_reported(services: WatchdogClients, folder: str) -> None:
    incidents.mark_reported(ObjectStore(services.s3, "output"), folder + incidents.REPORTED)


def later(**passed: float) -> datetime:
    return datetime.now(UTC) + timedelta(**passed)


def test_incidents_of_tasks_are_counted_reported_once_and_deleted(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    folder = opened(services)
    mark_reported(services, folder)
    follow(services, folder, 49)
    now = datetime.now(UTC)
    assert look(settings, services, now)[0]["IncidentsReported"] == 1
    (envelope,) = heard(services)
    assert envelope["TopicArn"].endswith(":notices")
    assert envelope["Subject"] == "BadFile: 50 files (HB0710/leg1), growing"
    update = json.loads(envelope["Message"])
    assert (update["count"], update["state"], update["outcome"]) == (50, "growing", "BadFile")
    assert len(update["first_files"]) == 10
    assert update["first_files"][0] == REPORT.source
    # Without news there is no message.
    metrics, _ = look(settings, services, now)
    assert (metrics["IncidentsReported"], metrics["IncidentsOpen"]) == (0, 1)
    assert look(settings, services, later(minutes=61))[0]["IncidentsReported"] == 1
    (envelope,) = heard(services)
    assert json.loads(envelope["Message"])["state"] == "closed"
    assert services.s3.list_objects_v2(Bucket="output").get("Contents", []) == []


def test_an_incident_that_can_not_be_deleted_stays_one_incident(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    """S3 answers 200 to a batch delete, and lists the objects that it did not delete."""
    folder = opened(services)
    follow(services, folder, 3)
    kept = {"Errors": [{"Key": f"{folder}0.json", "Code": "AccessDenied"}]}
    refusing = MagicMock(wraps=services.s3)
    refusing.delete_objects.side_effect = lambda **_: kept
    _, _, faults = looked(settings, replace(services, s3=refusing), later(minutes=61))
    assert f"{folder}0.json" in str(faults[0])
    refusing.delete_object.assert_not_called()
    assert look(settings, services, later(minutes=62))[0]["IncidentsOpen"] == 0
    assert services.s3.list_objects_v2(Bucket="output").get("Contents", []) == []


def test_a_single_file_is_reported_once(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    mark_reported(services, opened(services))
    for passed in (0, 2):
        assert look(settings, services, later(hours=passed))[0]["IncidentsReported"] == 0
    assert services.s3.list_objects_v2(Bucket="output").get("Contents", []) == []


@pytest.mark.parametrize("minutes", [1, 61], ids=["looked at", "looked at too late"])
def test_an_incident_that_its_task_could_not_report_is_reported(
    services: WatchdogClients, settings: WatchdogSettings, minutes: float
) -> None:
    opened(services, replace(REPORT, outcome="AccessDenied"))
    # Its task may still report it.
    assert look(settings, services, later())[0]["IncidentsReported"] == 0
    assert look(settings, services, later(minutes=minutes))[0]["IncidentsReported"] == 1
    (envelope,) = heard(services)
    assert envelope["TopicArn"].endswith(":alerts")
    update = json.loads(envelope["Message"])
    assert (update["count"], update["first_files"]) == (1, [REPORT.source])
    assert update["replay"] == REPORT.replay
    # Once.
    for passed in (2, 62):
        look(settings, services, later(minutes=minutes + passed))
    assert heard(services) == []


def test_a_replaced_incident_has_the_age_and_the_files_of_the_new_one(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    """The notes of the old incident are reported at its end, and do not end the new one."""
    stale = opened(services)
    mark_reported(services, stale)
    follow(services, stale, 2)
    # As if a task failed an hour later, before the next check.
    head = f"{PREFIX}{incidents.incident_id(REPORT)}/{incidents.HEAD}"
    services.s3.copy_object(
        Bucket="output", CopySource=f"output/{head}", Key=stale + incidents.HEAD
    )
    services.s3.delete_object(Bucket="output", Key=head)
    fresh = opened(services, replace(REPORT, source="s3://inbox/HB0710/leg1/new.raw"))
    assert fresh != stale
    mark_reported(services, fresh)
    metrics, _ = look(settings, services, later())
    (envelope,) = heard(services)
    update = json.loads(envelope["Message"])
    assert (update["state"], update["count"]) == ("closed", 3)
    assert (metrics["IncidentsOpen"], metrics["IncidentsReported"]) == (1, 1)
    follow(services, fresh, 1)
    look(settings, services, later(minutes=50))
    (envelope,) = heard(services)
    assert json.loads(envelope["Message"])["state"] == "growing"


@pytest.mark.parametrize(
    ("count", "hours", "reported_count", "state"),
    [
        (1, 0, 0, None),
        (1, 0.5, 0, "open"),
        (1, 0.5, 1, None),
        (2, 0, 0, None),
        (2, 0, 1, "growing"),
        (2, 0.5, 0, "growing"),
        (9, 0, 2, None),
        (1, 2, 0, "closed"),
        (1, 2, 1, None),
        (2, 2, 1, "closed"),
        (2, 2, 2, "closed"),
    ],
)
def test_when_an_incident_is_reported(
    count: int, hours: float, reported_count: int, state: str | None
) -> None:
    head, *followers = (
        IncidentNote(f"x/{n}", NOW - timedelta(hours=hours), "") for n in range(count)
    )
    assert Incident("x", head, followers, None).state(NOW, reported_count) == state


def test_a_failing_part_does_not_stop_the_metrics_of_the_others(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    settings = replace(settings, quiet_hours={"": 6.0})
    whole, _ = look(settings, services, NOW)
    parts = {
        ("sqs", "get_queue_attributes"): {"DeadLetters"},
        ("s3", "get_paginator"): {"IncidentsOpen", "IncidentsReported", "QuietPrefixes"},
    }
    for (service, operation), lost in parts.items():
        broken = replace(services, **{service: without(getattr(services, service), operation)})
        metrics, _, faults = looked(settings, broken, NOW)
        assert set(metrics) == set(whole) - lost
        assert faults


def test_an_incident_that_can_not_be_reported_does_not_stop_the_others(
    services: WatchdogClients, settings: WatchdogSettings
) -> None:
    """A note that is not JSON is reported by its key; if a topic is down, the next check reports."""
    opened(services)
    broken = opened(services, replace(REPORT, cruise="HB0711")).rsplit("/", 2)[0]
    services.s3.put_object(Bucket="output", Key=f"{broken}/{incidents.HEAD}", Body=b"{cut")
    down = replace(services, sns=without(services.sns, "publish"))
    metrics, _, faults = looked(settings, down, later(minutes=2))
    assert metrics["IncidentsOpen"] == len(faults) == 2
    assert look(settings, services, later(minutes=2))[0]["IncidentsReported"] == 2
    assert any(broken in envelope["Message"] for envelope in heard(services))


def test_errors_are_raised_after_all_metrics_are_written(
    services: WatchdogClients,
    settings: WatchdogSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lambda then counts an error, which has its own alarm."""
    del services
    monkeypatch.setattr(
        handler, "read_settings", lambda _: replace(settings, dead_letter_urls=("",))
    )
    with pytest.raises(ExceptionGroup):
        handler.handler({}, None)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "faults" in lines[0]
    assert "_aws" not in lines[0]
    assert {"PrefectReachable", "IncidentsOpen"} <= {name for line in lines for name in line}


@pytest.mark.parametrize(
    ("outcomes", "of_the_files", "of_the_system"),
    [
        (["AccessDenied"] * 40, 0, 40),
        (["BadFile"] * 3 + ["Completed", "Skipped", "Crashed"], 3, 1),
        (["SourceChanged", "BadFile"], 2, 0),
    ],
)
def test_the_tags_of_a_batch_count_its_failures_by_outcome(
    outcomes: list[str], of_the_files: int, of_the_system: int
) -> None:
    files = [
        {
            "name": f"{number}.raw",
            "outcome": outcome,
            "completed": outcome in {"Completed", "Skipped"},
        }
        for number, outcome in enumerate(outcomes)
    ]
    failure = batch_state(files).result(raise_on_failure=False)
    assert isinstance(failure, PartlyFailed)
    tags = outcome_tags(failure)
    counted = failed_files({"state": {"name": "Failed"}, "tags": ["echodrop", *tags]})
    assert sum(counted[name] for name in FILE_OUTCOMES) == of_the_files
    assert counted.total() == of_the_files + of_the_system


@pytest.mark.parametrize(
    ("name", "tags", "outcome"),
    [
        ("Failed", ["echodrop", "outcome:BadFile"], "BadFile"),
        # In earlier releases the name was the outcome.
        ("BadFile", ["echodrop"], "BadFile"),
        # A tag of an earlier end says nothing about this one.
        ("TimedOut", ["outcome:BadFile"], "TimedOut"),
        ("Failed", [], "Failed"),
        ("PartlyFailed", None, "PartlyFailed"),
    ],
)
def test_a_run_without_counts_is_one_failure(
    name: str, tags: list[str] | None, outcome: str
) -> None:
    assert failed_files({"state": {"name": name}, "tags": tags}) == {outcome: 1}
    assert outcome_of(name, tags or ()) == outcome


def test_both_sides_of_the_contract_agree() -> None:
    assert (incidents.HEAD, incidents.REPORTED) == (watched.HEAD, watched.REPORTED)
    assert incidents.WINDOW == watched.WINDOW
    assert (OUTCOME_TAG, FILES_TAG) == (prefect_look.OUTCOME_TAG, prefect_look.FILES_TAG)
    assert set(FILE_OUTCOMES) == {name for name, failure in FAILURES.items() if not failure.pages}
    named = {convert_raw_sonar.name, convert_raw_sonar_batch.name, reconcile_inbox.name}
    assert set(FLOWS) == named


def test_a_line_has_the_format_of_cloudwatch() -> None:
    line = json.loads(emf_line("survey", {"FailedRuns": 2}, {"prefect": "down"}, 1_785_000_000_000))
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Metrics"] == [{"Name": "FailedRuns", "Unit": "Count"}]
    assert [line[name] for name in directive["Dimensions"][0]] == ["survey", "watchdog"]
    assert (line["FailedRuns"], line["prefect"]) == (2, "down")
    assert subject({"outcome": "ü", "count": 2, "cruise": "", "state": "closed"}).isascii()
    assert set(UNITS.values()) <= {"Count", "Seconds"}


def test_the_zip_contains_all_modules_that_the_runtime_lacks(tmp_path: Path) -> None:
    subprocess.run(
        ["make", "--quiet", "-C", ROOT / "watchdog", "build-Watchdog", f"ARTIFACTS_DIR={tmp_path}"],
        check=True,
    )
    script = "import sys, watchdog.handler; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    used = {name.partition(".")[0] for name in done.stdout.split()}
    assert used.isdisjoint({"prefect", "echopype", "numpy", "flows", "lambda_trigger"})
    assert handler.__name__ in done.stdout.split()

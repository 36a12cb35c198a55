"""The watchdog's look: what it counts, what it tells, and what it does where somebody is silent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flows import failure_report, incidents
from flows.incidents import opens_incident
from flows.object_store import ObjectStore
from tests.unit.flows.test_failure_report import REPORT
from watchdog import handler
from watchdog import incidents as watched
from watchdog.emf import UNITS, emf_line
from watchdog.handler import Services, look, subject
from watchdog.incidents import Incident, Note
from watchdog.prefect_look import NOT_THE_SYSTEMS
from watchdog.settings import Settings, SettingsError, read_settings

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 7, 24, 12, tzinfo=UTC)
PREFIX = ".echodrop/incidents/"


def environment(**changes: str) -> dict[str, str]:
    return {
        # A port where nobody listens.
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "ECHODROP_WORK_POOL": "echodrop",
        "ECHODROP_UPLOAD_QUEUE_URL": "uploads",
        "ECHODROP_DEAD_LETTER_URLS": "dead,other",
        "ECHODROP_INCIDENTS": f"s3://output/{PREFIX}",
        "ECHODROP_ALERT_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:alerts",
        "ECHODROP_NOTICE_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:notices",
        "ECHODROP_INBOX_BUCKET": "inbox",
        **changes,
    }


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        made = Services(
            boto3.client("s3"),
            boto3.client("sqs"),
            boto3.client("sns"),
            boto3.client("secretsmanager"),
        )
        for bucket in ("inbox", "output"):
            made.s3.create_bucket(Bucket=bucket)
        yield made


@pytest.fixture
def settings(services: Services) -> Settings:
    urls = [
        services.sqs.create_queue(QueueName=name)["QueueUrl"]
        for name in ("uploads", "dead", "other", "heard")
    ]
    for topic in ("alerts", "notices"):
        arn = services.sns.create_topic(Name=topic)["TopicArn"]
        services.sns.subscribe(
            TopicArn=arn, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:heard"
        )
    return read_settings(
        environment(
            ECHODROP_UPLOAD_QUEUE_URL=urls[0], ECHODROP_DEAD_LETTER_URLS=f"{urls[1]},{urls[2]}"
        )
    )


def heard(services: Services) -> list[dict[str, Any]]:
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
    told = read_settings(environment(ECHODROP_QUIET_INBOX="HB0710/=6,=48"))
    assert told.quiet_hours == {"HB0710/": 6.0, "": 48.0}


def test_a_dead_prefect_is_told_and_the_rest_is_looked_at(
    services: Services, settings: Settings
) -> None:
    services.sqs.send_message(QueueUrl=settings.dead_letter_urls[1], MessageBody="lost")
    metrics, facts = look(settings, services, NOW)
    assert metrics == {
        "PrefectReachable": 0,
        "DeadLetters": 1,
        "IncidentsOpen": 0,
        "IncidentsTold": 0,
    }
    assert "127.0.0.1" in str(facts["prefect"])


def test_a_quiet_prefix_is_named(services: Services, settings: Settings) -> None:
    services.s3.put_object(Bucket="inbox", Key="busy/a.raw", Body=b"")
    watched_prefixes = read_settings(
        environment(ECHODROP_QUIET_INBOX="busy/=6,gone/=6")
    ).quiet_hours
    metrics, facts = look(
        replace(settings, quiet_hours=watched_prefixes), services, datetime.now(UTC)
    )
    assert (metrics["QuietPrefixes"], facts["quiet"]) == (1, ["gone/"])


def test_what_tasks_note_is_counted_told_once_and_cleared_away(
    services: Services, settings: Settings
) -> None:
    store = ObjectStore(services.s3, "output")
    assert opens_incident(store, PREFIX, REPORT)
    # As tasks note what follows; moto without a server sends no date to tell an incident's age by.
    folder = f"{PREFIX}{incidents.incident_id(REPORT)}/"
    for number in range(49):
        alert = replace(REPORT, source=f"s3://inbox/{number}.raw").as_alert()
        store.put(f"{folder}{number}.json", json.dumps(alert).encode())
    now = datetime.now(UTC)
    assert look(settings, services, now)[0]["IncidentsTold"] == 1
    (envelope,) = heard(services)
    assert envelope["TopicArn"].endswith(":notices")
    assert envelope["Subject"] == "BadFile: 50 files (HB0710/leg1), growing"
    update = json.loads(envelope["Message"])
    assert (update["count"], update["state"], update["outcome"]) == (50, "growing", "BadFile")
    assert len(update["first_files"]) == 10
    assert update["first_files"][0] == REPORT.source
    # Nothing new, nothing told.
    metrics, _ = look(settings, services, now)
    assert (metrics["IncidentsTold"], metrics["IncidentsOpen"]) == (0, 1)
    later = now + incidents.WINDOW + timedelta(minutes=1)
    assert look(settings, services, later)[0]["IncidentsTold"] == 1
    (envelope,) = heard(services)
    assert json.loads(envelope["Message"])["state"] == "closed"
    assert store.list(PREFIX) == {}


def test_one_file_alone_is_told_once_in_all(services: Services, settings: Settings) -> None:
    assert opens_incident(ObjectStore(services.s3, "output"), PREFIX, REPORT)
    for passed in (timedelta(0), incidents.WINDOW * 2):
        assert look(settings, services, datetime.now(UTC) + passed)[0]["IncidentsTold"] == 0
    assert services.s3.list_objects_v2(Bucket="output").get("Contents", []) == []


@pytest.mark.parametrize(
    ("count", "age", "told_count", "state"),
    [
        (1, 0, 0, None),
        (2, 0, 0, "growing"),
        (9, 0, 2, None),
        (1, 2, 0, None),
        (2, 2, 0, "closed"),
        (2, 2, 2, "closed"),
    ],
)
def test_when_an_incident_is_told_of(
    count: int, age: int, told_count: int, state: str | None
) -> None:
    notes = [Note(f"x/{number}.json", NOW - timedelta(hours=age)) for number in range(count)]
    assert Incident("x", notes, None).state(NOW, told_count) == state


def test_both_sides_of_the_contract_agree() -> None:
    assert incidents.HEAD == watched.HEAD
    assert incidents.WINDOW == watched.WINDOW
    assert set(NOT_THE_SYSTEMS) == failure_report.NOTICES | {"PartlyFailed", "AllFailed"}


def test_a_line_is_what_cloudwatch_reads() -> None:
    line = json.loads(emf_line({"FailedRuns": 2}, {"prefect": "down"}, 1_785_000_000_000))
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Metrics"] == [{"Name": "FailedRuns", "Unit": "Count"}]
    assert [line[name] for name in directive["Dimensions"][0]] == ["watchdog"]
    assert (line["FailedRuns"], line["prefect"]) == (2, "down")
    assert subject({"outcome": "ü", "count": 2, "cruise": "", "state": "closed"}).isascii()
    assert set(UNITS.values()) <= {"Count", "Seconds"}


def test_the_zip_holds_all_that_the_handler_needs_beside_the_runtimes_own(tmp_path: Path) -> None:
    subprocess.run(
        ["make", "--quiet", "-C", ROOT / "watchdog", "build-Watchdog", f"ARTIFACTS_DIR={tmp_path}"],
        check=True,
    )
    script = "import sys, watchdog.handler; print('\\n'.join(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    used = {name.partition(".")[0] for name in told.stdout.split()}
    assert used.isdisjoint({"prefect", "echopype", "numpy", "flows", "lambda_trigger"})
    assert handler.__name__ in told.stdout.split()

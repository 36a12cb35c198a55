from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.replay import fixture_messages
from events.sending import Message
from lambda_trigger.decisions.notifications import EVENTBRIDGE_UPLOADS
from tests.event_fixtures import OUTPUT, RULES, Fixture, all_fixtures
from tests.unit.trigger.conftest import Trigger

FIXTURES = list(all_fixtures())


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_each_notification_ends_in_its_outcome(fixture: Fixture) -> None:
    trigger = Trigger(rules=RULES)
    for item in fixture.inbox:
        trigger.storage.put(
            item.key,
            item.body,
            metadata=item.metadata,
            tags=item.tags,
            version_id=item.version_id,
            archived=item.archived,
        )
    assert trigger.receive(fixture.body) == {"batchItemFailures": []}
    lines = [line for line in trigger.lines if "outcome" in line]
    assert [(line.get("key"), line["outcome"], line["reason"]) for line in lines] == [
        (item.key, item.outcome, item.reason) for item in fixture.expected
    ]
    runs = iter(trigger.flow_runs.runs.values())
    for wanted in fixture.expected:
        if wanted.outcome == "Submitted":
            assert wanted.parameters.items() <= next(runs).parameters.items()


def test_there_are_fixtures_of_every_outcome_and_envelope() -> None:
    assert len(FIXTURES) >= 40
    assert {item.outcome for fixture in FIXTURES for item in fixture.expected} == {
        "Submitted",
        "Waiting",
        "Ignored",
        "Rejected",
    }
    assert all(fixture.about and fixture.expected for fixture in FIXTURES)
    assert OUTPUT in RULES


def test_the_stack_and_the_trigger_accept_the_same_extensions() -> None:
    taken: dict[str, set[bool]] = {}
    for fixture in FIXTURES:
        try:
            event = json.loads(fixture.body)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("source") == "aws.s3":
            no_upload = {"not-an-upload", "deleted"} & {item.reason for item in fixture.expected}
            taken.setdefault(event["detail-type"], set()).add(not no_upload)
    # tests/template compares the stack's rule and its archive of events with the same list.
    assert {name for name, each in taken.items() if each == {True}} == set(EVENTBRIDGE_UPLOADS)
    assert {name for name, each in taken.items() if each == {False}} >= {
        "Object ACL Updated",
        "Object Deleted",
        "Object Restore Initiated",
        "Object Storage Class Changed",
        "Object Tags Added",
    }
    assert all(len(each) == 1 for each in taken.values())


def test_a_plain_notification_is_a_fixture_without_expectations(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"Records": []}')
    assert list(fixture_messages([path])) == [Message("mine", '{"Records": []}')]
    path.write_text("no JSON")
    assert list(fixture_messages([path])) == [Message("mine", "no JSON")]


def test_a_fixture_can_use_another_bucket(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"bucket": "echodrop-inbox"}')
    (message,) = fixture_messages([path], "my-inbox")
    assert json.loads(message.body) == {"bucket": "my-inbox"}


def test_a_fixture_with_a_missing_part_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"notification": {}, "expected": [{"key": null}], "about": "", "inbox": []}')
    with pytest.raises(ValueError, match=r"mine\.json.*'outcome'"):
        list(fixture_messages([path]))

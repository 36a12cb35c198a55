"""Events are matched and transformed as in EventBridge."""

import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from sandbox.aws.event_bridge import matches, target_event, target_input

EVENT: dict[str, Any] = {
    "source": "aws.ecs",
    "time": "2026-11-24T12:00:00Z",
    "detail": {"reason": 'said "no"', "code": 137, "tags": ["a", "b"], "containers": []},
}
PATHS = {"reason": "$.detail.reason", "code": "$.detail.code", "gone": "$.detail.gone"}


def transformed(template: str) -> str:
    transformer = {"InputPathsMap": PATHS, "InputTemplate": template}
    return target_input({"Arn": "", "InputTransformer": transformer}, EVENT)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ('"ended with <code>: <reason>"', 'ended with 137: said "no"'),
        ('"nothing: <gone>."', "nothing: ."),
        ('{"why": <reason>, "code": <code>}', {"why": 'said "no"', "code": 137}),
        ('{"why": "<reason>!"}', {"why": 'said "no"!'}),
    ],
)
def test_a_template_is_filled_with_what_the_paths_find(template: str, value: object) -> None:
    assert json.loads(transformed(template)) == value


def test_a_target_without_a_transformer_gets_the_event() -> None:
    assert json.loads(target_input({}, EVENT)) == EVENT


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ({"exitCode": [137]}, True),
        ({"name": ["prefect"]}, True),
        # Two containers together do not match.
        ({"name": ["prefect"], "exitCode": [137]}, False),
        ({"name": ["agent"], "exitCode": [137]}, True),
        ({"name": ["prefect"], "exitCode": [{"anything-but": [0, 137]}]}, False),
        ({"ports": {"open": [2]}}, True),
        ({"reason": [{"exists": False}]}, True),
    ],
)
def test_one_object_of_a_list_must_match_the_whole_pattern(
    pattern: dict[str, Any], *, matched: bool
) -> None:
    containers = [
        {"name": "prefect", "exitCode": 0, "ports": [{"open": 1}, {"open": 2}]},
        {"name": "agent", "exitCode": 137},
    ]
    event = {"source": "aws.ecs", "detail": {"containers": containers, "empty": []}}
    for detail in (
        {"containers": pattern},
        {"$or": [{"containers": pattern}, {"empty": {"name": ["any"]}}]},
    ):
        raw = json.dumps({"source": ["aws.ecs"], "detail": detail})
        found = EventPattern(raw, json.loads(raw))
        assert matches(event, found.get_pattern(), found._does_item_match_filters) is matched


def test_targets_get_a_date_as_time_and_no_fields_of_moto() -> None:
    event = target_event({"time": 1795521600.5, "ingestion-time": 1.0, "detail": {}})
    assert event == {"time": "2026-11-24T12:00:00Z", "detail": {}}

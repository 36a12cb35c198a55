"""An event is matched and transformed for a target as EventBridge does it."""

import json
from typing import Any

import pytest

from sandbox.event_bridge import as_told, flattened, target_input

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
        ('{"all": <aws.events.event.json>}', {"all": EVENT}),
    ],
)
def test_a_template_is_filled_with_what_the_paths_find(template: str, value: object) -> None:
    assert json.loads(transformed(template)) == value


def test_a_target_without_a_transformer_gets_the_event_a_part_or_a_constant() -> None:
    assert json.loads(target_input({}, EVENT)) == EVENT
    assert json.loads(target_input({"InputPath": "$.detail.tags"}, EVENT)) == ["a", "b"]
    assert target_input({"Input": '{"look": true}'}, EVENT) == '{"look": true}'


def test_what_the_objects_of_a_list_hold_is_found_at_one_path() -> None:
    event = {
        "detail": {
            "containers": [{"exitCode": 0, "name": "a"}, {"exitCode": 137, "ports": [1, 2]}],
            "empty": {},
        }
    }
    flat = flattened(event)
    assert flat["detail.containers.exitCode"] == [0, 137]
    assert flat["detail.containers.name"] == ["a"]
    assert flat["detail.containers.ports"] == [1, 2]
    assert flat["detail.empty"] == {}


def test_a_time_is_told_as_a_date_and_nothing_of_motos_own() -> None:
    told = as_told({"time": 1795521600.5, "ingestion-time": 1.0, "detail": {}})
    assert told == {"time": "2026-11-24T12:00:00Z", "detail": {}}

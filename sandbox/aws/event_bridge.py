"""Patches moto's EventBridge where it differs from AWS.

moto does not return a bucket's EventBridge configuration, does not support topics
as targets, sends every event to scheduled rules, does not match objects in lists
(a task's containers), fails on input transformers that produce text, and loses
events that a target rejects. Source: "Amazon EventBridge targets", "input
transformation" and "dead-letter queues", EventBridge user guide.
"""

import copy
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.events.models import UNDEFINED, EventPattern, Rule
from moto.s3.responses import S3Response
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn

_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")


def patch() -> None:
    """Patch moto's rules and bucket notifications in this process."""
    rules: Any = Rule
    patterns: Any = EventPattern
    send_others = rules.send_to_targets

    def send_to_targets(
        rule: Any,  # noqa: ANN401 - moto's Rule has no types
        original_event: dict[str, Any],
        transform_input: bool = True,  # noqa: FBT001, FBT002 - as moto declares it
    ) -> None:
        pattern = rule.event_pattern
        # A rule without a pattern is scheduled; moto lets it match every event.
        if rule.state == "DISABLED" or not pattern.get_pattern():
            return
        if not pattern.matches_event(original_event):
            return
        event = target_event(original_event)
        for target in rule.targets:
            if _service(target) in _SENDERS:
                deliver(target, event, rule.account_id, rule.region_name)
        others = copy.copy(rule)
        others.targets = [target for target in rule.targets if _service(target) not in _SENDERS]
        if others.targets:
            send_others(others, original_event, transform_input)

    responses: Any = S3Response
    get_others = responses.get_bucket_notification

    def get_bucket_notification(response: Any) -> Any:  # noqa: ANN401 - moto has no types
        found = response.backend.get_bucket_notification_configuration(response.bucket_name)
        if found is None or found.event_bridge is None or found.topic or found.queue:
            return get_others(response)
        response.data["Action"] = "GetBucketNotificationConfiguration"
        return response.serialized(ActionResult({"EventBridgeConfiguration": {}}))

    responses.get_bucket_notification = get_bucket_notification
    rules.send_to_targets = send_to_targets
    patterns.matches_event = lambda self, event: matches(
        event,
        self.get_pattern() or {},
        self._does_item_match_filters,
    )


def matches(event: object, pattern: Mapping[str, Any], fits: Callable[..., bool]) -> bool:
    """Return whether a pattern matches an event.

    In a list of objects, one object must match the whole pattern. Source: "JSON array matching"
    of aws/event-ruler, which EventBridge runs. `fits` returns whether a value (UNDEFINED if
    missing) matches one of a field's filters.
    """
    if isinstance(event, list):
        return any(matches(item, pattern, fits) for item in event if isinstance(item, dict))
    fields = event if isinstance(event, dict) else {}
    for name, expected in pattern.items():
        if name == "$or":
            found = any(matches(fields, each, fits) for each in expected)
        elif isinstance(expected, dict):
            found = matches(fields.get(name), expected, fits)
        else:
            found = fits(fields.get(name, UNDEFINED), expected)
        if not found:
            return False
    return True


def target_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as targets receive it: with a date as its time, without moto's own fields."""
    copied = {name: value for name, value in event.items() if name != "ingestion-time"}
    if isinstance(copied["time"], int | float):
        copied["time"] = datetime.fromtimestamp(copied["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return copied


def target_input(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return a target's input: the event, or the text that its transformer makes of it."""
    if not (transformer := target.get("InputTransformer")):
        return json.dumps(event)
    paths: Mapping[str, str] = transformer.get("InputPathsMap", {})
    template = str(transformer["InputTemplate"])

    def filled(place: re.Match[str]) -> str:
        value = _at(paths[place[1]], event)
        # Inside quotes a value is inserted as text, elsewhere as JSON.
        if template.count('"', 0, place.start()) % 2 == 0:
            return json.dumps(value)
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        return json.dumps(text)[1:-1]

    return _PLACEHOLDER.sub(filled, template)


def _at(path: str, event: Any) -> Any:  # noqa: ANN401 - JSON
    """Return what is at a path of names, such as `$.detail.reason`; None if nothing is."""
    for name in path.split(".")[1:]:
        event = event.get(name) if isinstance(event, dict) else None
    return event


def deliver(target: Mapping[str, Any], event: Mapping[str, Any], account: str, region: str) -> None:
    """Send an event to a queue or topic; a rejected event goes to the dead letter queue."""
    message = target_input(target, event)
    try:
        _SENDERS[_service(target)](target["Arn"], message, account, region)
    except ServiceException:
        if dead := target.get("DeadLetterConfig", {}).get("Arn"):
            _to_queue(dead, json.dumps(event), account, region)


def _to_queue(arn: str, message: str, account: str, region: str) -> None:
    sqs_backends[account][region].send_message(arn.rpartition(":")[2], message)


def _to_topic(arn: str, message: str, account: str, region: str) -> None:
    sns_backends[account][region].publish(message, arn=arn)


def _service(target: Mapping[str, Any]) -> str:
    return str(parse_arn(target["Arn"]).service)


_SENDERS = {"sqs": _to_queue, "sns": _to_topic}

"""EventBridge as AWS does it, where moto's does not: patched into the sandbox's AWS server.

moto does not tell that a bucket notifies it, knows no topic as a rule's target, sends every event to a rule that goes by
the clock, does not look into lists of objects (a task's containers), breaks at
an input transformer that makes a text, and loses what a target refuses. Source: "Amazon EventBridge targets", "input
transformation" and "dead-letter queues", EventBridge user guide.
"""

import copy
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from jsonpath_ng.ext.parser import parse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.events.models import UNDEFINED, EventPattern, Rule
from moto.s3.responses import S3Response
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn

_PLACE = re.compile(r"<([A-Za-z0-9_.-]+)>")


def patch() -> None:
    """Make moto's rules of this process deliver, match and transform as described here."""
    rules: Any = Rule
    patterns: Any = EventPattern
    moto_s_own = rules.send_to_targets

    def send_to_targets(
        rule: Any,  # noqa: ANN401 - moto's Rule has no types
        original_event: dict[str, Any],
        transform_input: bool = True,  # noqa: FBT001, FBT002 - as moto declares it
    ) -> None:
        pattern = rule.event_pattern
        # A rule without a pattern goes by the clock; moto takes it for one that matches all.
        if rule.state == "DISABLED" or not pattern.get_pattern():
            return
        if not pattern.matches_event(original_event):
            return
        event = as_told(original_event)
        for target in rule.targets:
            if _service(target) in _SENDERS:
                deliver(target, event, rule.account_id, rule.region_name)
        others = copy.copy(rule)
        others.targets = [target for target in rule.targets if _service(target) not in _SENDERS]
        if others.targets:
            moto_s_own(others, original_event, transform_input)

    responses: Any = S3Response
    get_others = responses.get_bucket_notification

    def get_bucket_notification(response: Any) -> Any:  # noqa: ANN401 - moto's own
        told = response.backend.get_bucket_notification_configuration(response.bucket_name)
        if told is None or told.event_bridge is None or told.topic or told.queue:
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

    What a pattern asks of the objects of a list, one and the same object has to
    fulfil. Source: "JSON array matching" of aws/event-ruler, which EventBridge runs.

    Args:
        event: the event, or the part of it that the pattern is of.
        pattern: the pattern, or the part of it that stands at this place.
        fits: whether a value, UNDEFINED where there is none, fits one of a field's filters.
    """
    if isinstance(event, list):
        return any(matches(item, pattern, fits) for item in event if isinstance(item, dict))
    fields = event if isinstance(event, dict) else {}
    for name, asked in pattern.items():
        if name == "$or":
            found = any(matches(fields, each, fits) for each in asked)
        elif isinstance(asked, dict):
            found = matches(fields.get(name), asked, fits)
        else:
            found = fits(fields.get(name, UNDEFINED), asked)
        if not found:
            return False
    return True


def takes(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Return whether a rule with this pattern takes an event."""
    asked: Any = EventPattern(None, dict(pattern))
    return matches(event, pattern, asked._does_item_match_filters)  # noqa: SLF001 - as the patch hands it on


def as_told(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as targets get it: with its time as a date, without moto's own fields."""
    told = {name: value for name, value in event.items() if name != "ingestion-time"}
    if isinstance(told["time"], int | float):
        told["time"] = datetime.fromtimestamp(told["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return told


def target_input(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return what a target gets of an event: all of it, a part, a constant or a text made of it."""
    if constant := target.get("Input"):
        return str(constant)
    if path := target.get("InputPath"):
        return json.dumps(_at(path, event))
    if not (transformer := target.get("InputTransformer")):
        return json.dumps(event)
    paths: Mapping[str, str] = transformer.get("InputPathsMap", {})
    values = {name: _at(path, event) for name, path in paths.items()}
    values["aws.events.event.json"] = event
    template = str(transformer["InputTemplate"])

    def filled(place: re.Match[str]) -> str:
        value = values.get(place[1])
        # Within quotes a value is part of a text, elsewhere it is JSON.
        if template.count('"', 0, place.start()) % 2 == 0:
            return json.dumps(value)
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        return json.dumps(text)[1:-1]

    return _PLACE.sub(filled, template)


def _at(path: str, event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    found = parse(path).find(event)
    return found[0].value if found else None


def deliver(target: Mapping[str, Any], event: Mapping[str, Any], account: str, region: str) -> None:
    """Send an event to a queue or topic; what it refuses goes to the target's dead letters."""
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

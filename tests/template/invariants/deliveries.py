"""Deliveries inside the stack arrive: every policy and key on the way is evaluated."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.template.alarm_metrics import faults, metrics_of
from tests.template.deliveries import (
    Delivery,
    of_alarms,
    of_buckets,
    of_budgets,
    of_rules,
    of_subscriptions,
    refusals,
    refusals_of_logs,
    refusals_of_role,
)
from tests.template.invariants.registry import invariant
from tests.template.stacks import Translated

# Protocols that reach a person, or a program outside the stack.
TO_PEOPLE = {"email", "email-json", "sms", "https"}


def _refused(
    stack: Translated, deliveries: Callable[[Translated], Iterable[Delivery]]
) -> Iterator[str]:
    for delivery in dict.fromkeys(deliveries(stack)):
        yield from refusals(stack, delivery)


@invariant
def every_alarm_watches_a_written_metric(stack: Translated) -> Iterator[str]:
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        for watched in metrics_of(alarm):
            yield from (f"{name}: {fault}" for fault in faults(stack, watched))


@invariant
def every_alarm_reaches_its_targets(stack: Translated) -> Iterator[str]:
    yield from _refused(stack, of_alarms)


@invariant
def every_alarm_reaches_a_person(stack: Translated) -> Iterator[str]:
    heard = {
        item["TopicArn"]
        for item in stack.of_type("AWS::SNS::Subscription").values()
        if item["Protocol"] in TO_PEOPLE and item.get("Endpoint")
    }
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        if not set(alarm.get("AlarmActions", [])) & heard:
            yield f"{name} notifies a topic without a subscriber"
        if alarm.get("ActionsEnabled") is False:
            yield f"{name} notifies nothing"


@invariant
def every_rule_reaches_its_targets(stack: Translated) -> Iterator[str]:
    yield from _refused(stack, of_rules)


@invariant
def every_subscription_reaches_its_endpoint(stack: Translated) -> Iterator[str]:
    yield from _refused(stack, of_subscriptions)


@invariant
def every_bucket_reaches_its_targets(stack: Translated) -> Iterator[str]:
    yield from _refused(stack, of_buckets)


@invariant
def every_budget_reaches_its_topics(stack: Translated) -> Iterator[str]:
    yield from _refused(stack, of_budgets)


@invariant
def logs_are_encrypted_with_a_key_that_logs_may_use(stack: Translated) -> Iterator[str]:
    yield from refusals_of_logs(stack)


@invariant
def roles_with_a_topic_may_publish_to_it(stack: Translated) -> Iterator[str]:
    for name, role, environment in _environments(stack):
        for value in environment:
            if stack.type_of(value) == "AWS::SNS::Topic":
                found = refusals_of_role(stack, role, "sns:Publish", value, {})
                yield from (f"{name}: {each}" for each in found)


@invariant
def functions_may_read_the_queues_that_feed_them(stack: Translated) -> Iterator[str]:
    functions = stack.of_type("AWS::Lambda::Function")
    for name, source in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        (role,) = (
            function["Role"]
            for function in functions.values()
            if source["FunctionName"] == function["FunctionName"]
        )
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            found = refusals_of_role(stack, role, f"sqs:{action}", source["EventSourceArn"], {})
            yield from (f"{name}: {each}" for each in found)


def _environments(stack: Translated) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield name, role and the environment's values of every function and task."""
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        variables = function.get("Environment", {}).get("Variables", {})
        yield name, function["Role"], list(variables.values())
    for name, definition in stack.of_type("AWS::ECS::TaskDefinition").items():
        for container in definition["ContainerDefinitions"]:
            values = [each["Value"] for each in container.get("Environment", [])]
            yield name, definition["TaskRoleArn"], values
